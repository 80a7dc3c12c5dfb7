package e2e_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// spans is a collector of traces.
type spans struct {
	t    *testing.T
	url  string
	mu   sync.Mutex
	all  []*trace.Span
	text strings.Builder // everything that was received
}

func newSpans(t *testing.T) *spans {
	t.Helper()
	c := &spans{t: t}
	s := httptest.NewServer(http.HandlerFunc(c.receive))
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

func (c *spans) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender was killed at the test's end
	}
	message := new(collector.ExportTraceServiceRequest)
	if r.URL.Path != "/v1/traces" || proto.Unmarshal(body, message) != nil {
		c.t.Errorf("%s: not spans", r.URL.Path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(body)
	for _, resource := range message.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			c.all = append(c.all, scope.Spans...)
		}
	}
}

// named returns those spans of a trace that have this name.
func (c *spans) named(traceID []byte, name string) (found []*trace.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.all {
		if s.Name == name && string(s.TraceId) == string(traceID) {
			found = append(found, s)
		}
	}
	return found
}

// traceID is the id of the caller's trace in these tests.
var traceID = []byte("\x0a\xf7\x65\x19\x16\xcd\x43\xdd\x84\x48\xeb\x21\x1c\x80\x31\x9c")

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// TestE2ETraces checks that a call is one trace from the API to the store, a child of the caller's span, and that a
// decision of the gateway is in the trace of its request, which goes on to the API.
func TestE2ETraces(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	c := newSpans(t)
	s := startServer(t, "--otlp-endpoint", c.url, "--trace-ratio", "0")
	s.admin().mustCreate(t, "acme")
	request, err := http.NewRequest(http.MethodPost, s.url+"/v1/workspaces/acme/keys", strings.NewReader(`{"owner":"cust_secretive"}`))
	check(t, err)
	request.Header = http.Header{"Authorization": {"Bearer " + s.key()}, "Content-Type": {"application/json"}, "Traceparent": {traceparent}}
	resp, err := plainHTTP.Do(request)
	check(t, err)
	body, err := io.ReadAll(resp.Body)
	check(t, err)
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	k := s.admin().mustIssue(t, "acme")
	a := startAsked(t, s, "--workspace", "acme", "--otlp-endpoint", c.url, "--trace-ratio", "0")
	g := startEnvoy(t, "--mode", "gateway", "--gateway", a.addr)
	eventually(t, "Envoy accepts the key", func() bool { return g.get(t, k.Token) == http.StatusOK })
	request, err = http.NewRequest(http.MethodGet, g.url+"/", nil)
	check(t, err)
	request.Header = http.Header{"Authorization": {"Bearer " + k.Token}, "Traceparent": {traceparent}}
	resp, err = plainHTTP.Do(request)
	check(t, err)
	resp.Body.Close()

	route := "POST /v1/workspaces/:ws/keys"
	for _, name := range []string{route, "authz.issue", "mint", "mint.wait", "mint.process", "store.write", "check"} {
		eventually(t, "the collector has the span "+name, func() bool { return len(c.named(traceID, name)) == 1 })
	}
	for name, parent := range map[string]string{
		"authz.issue": route, "mint": "authz.issue", "mint.wait": "mint", "mint.process": "mint", "store.write": "authz.issue",
	} {
		if !slices.Equal(c.named(traceID, name)[0].ParentSpanId, c.named(traceID, parent)[0].SpanId) {
			t.Errorf("%s is no child of %s", name, parent)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, secret := range []string{"eyJ", "cust_secretive", s.key()[:40]} {
		if strings.Contains(c.text.String(), secret) {
			t.Errorf("the collector received %q", secret)
		}
	}
	for _, s := range c.all {
		if string(s.TraceId) != string(traceID) {
			t.Errorf("a ratio of 0 began the trace of %s", s.Name)
		}
	}
}

// TestE2ETracesWithoutACollector checks that a missing collector slows and fails nothing.
func TestE2ETracesWithoutACollector(t *testing.T) {
	t.Parallel()
	s := startServer(t, "--otlp-endpoint", "http://"+envoytest.FreeAddr(t))
	s.admin().mustCreate(t, "acme")
	s.admin().mustIssue(t, "acme")
	s.stop()
	run(t, "serve", "--otlp-endpoint", "collector:4318").fails(t, "--otlp-endpoint", "http or https URL")
	run(t, "serve", "--otlp-endpoint", "http://u:p@127.0.0.1:1").fails(t, "--otlp-endpoint", "without a password")
	for _, command := range []string{"serve", "gateway -w acme --any-audience --server http://127.0.0.1:1"} {
		for ratio, words := range map[string]string{"2": "0 to 1", "NaN": "0 to 1", "0.5": "has no effect without --otlp-endpoint"} {
			run(t, append(strings.Fields(command), "--trace-ratio", ratio)...).fails(t, "--trace-ratio", words)
		}
	}
}
