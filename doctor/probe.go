package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/burnkey/burnkey/internal/networks"
)

const (
	probeTimeout = 8 * time.Second
	maxAnswer    = 16 << 20 // bytes
)

// prober sends requests. It does not follow redirects, and refuses answers longer than maxAnswer.
type prober struct{ client *http.Client }

func newProber() prober {
	return prober{&http.Client{
		Timeout: probeTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, DisableCompression: true},
	}}
}

var errLong = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

// answer is an HTTP answer. Its time at is when it began to arrive, by this machine's clock.
type answer struct {
	status int
	header http.Header
	length int64 // -1: unknown
	body   []byte
	at     time.Time
}

// send sends a request. An error does not contain the URL.
func (p prober) send(ctx context.Context, method, address string, now func() time.Time) (*answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, errors.New("invalid address")
	}
	response, err := p.client.Do(request)
	if wrapped := new(url.Error); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	a := &answer{status: response.StatusCode, header: response.Header, length: response.ContentLength, at: now()}
	a.body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(a.body) > maxAnswer {
		err = errLong
	}
	return a, err
}

// fetch returns the answer to a GET request, or an error if its status is not 200.
func (e *exam) fetch(ctx context.Context, address string) (*answer, error) {
	a, err := e.http.send(ctx, http.MethodGet, address, e.Now)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("the answer is %d %s", a.status, http.StatusText(a.status))
	}
	return a, err
}

// metrics are samples in Prometheus' text format.
type metrics map[string]*dto.MetricFamily

func (e *exam) metrics(ctx context.Context, base string) (metrics, error) {
	a, err := e.fetch(ctx, base+"/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	found, err := parser.TextToMetricFamilies(strings.NewReader(string(a.body)))
	if err != nil {
		return nil, errors.New("/metrics is not in the text format of Prometheus")
	}
	return found, nil
}

// value returns the sum of a metric's samples that have the label, or of all if the label is empty. It returns NaN
// without a sample.
func (m metrics) value(name, label, text string) float64 {
	sum, found := 0.0, false
	for _, sample := range m[name].GetMetric() {
		if label == "" || labelOf(sample, label) == text {
			sum, found = sum+sample.GetGauge().GetValue()+sample.GetCounter().GetValue()+sample.GetUntyped().GetValue(), true
		}
	}
	if !found {
		return math.NaN()
	}
	return sum
}

func labelOf(sample *dto.Metric, name string) string {
	for _, pair := range sample.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// have returns whether a metric begins with a prefix.
func (m metrics) have(prefix string) bool {
	for name := range m {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// version returns the version of the program, or an empty string.
func (m metrics) version() string {
	for _, sample := range m["burnkey_build_info"].GetMetric() {
		return labelOf(sample, "version")
	}
	return ""
}

// checkClock compares an answer's Date with this machine's clock.
func (e *exam) checkClock(target string, a *answer) {
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return
	}
	e.reportClock(target, date.Sub(a.at.Truncate(time.Second)))
}

// mostAhead is how far clocks may differ. A slow network causes less.
const mostAhead = 10 * time.Second

func (e *exam) reportClock(target string, ahead time.Duration) {
	if ahead.Abs() < mostAhead {
		return
	}
	how := "fast"
	if ahead < 0 {
		how = "slow"
	}
	e.add("clock", target, fmt.Sprintf("Its clock is %s by %s, compared with this machine's.", how, ahead.Abs().Round(time.Second)))
}

// checkPlain reports unencrypted HTTP to another machine.
func (e *exam) checkPlain(severity Severity, target, address string) {
	u, err := url.Parse(address)
	if err == nil && u.Scheme == "http" && !networks.IsLoopback(u.Hostname()) {
		e.addAs(severity, "plain_http", target, "It is used by plain HTTP on another machine.")
	}
}

// shown returns an address without a password.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(invalid URL)"
	}
	u.User, u.RawQuery = nil, ""
	return u.String()
}
