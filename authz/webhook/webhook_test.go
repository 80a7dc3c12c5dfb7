package webhook_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/authz/webhook"
	"github.com/burnkey/burnkey/internal/outbound"
	"github.com/burnkey/burnkey/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient returns a client for receivers on this machine.
func newClient(t *testing.T, o webhook.Options) *webhook.Client {
	if o.HTTP == nil {
		o.HTTP = outbound.New(outbound.Options{Local: true})
	}
	c := webhook.New(o)
	t.Cleanup(c.Close)
	return c
}

// This is the published example of Standard Webhooks, which its libraries use as a test.
const (
	exampleSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	exampleID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	exampleAt        = 1614265330
	exampleBody      = `{"test": 2432232314}`
	exampleSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func TestSignatureOfTheStandardsExample(t *testing.T) {
	got := make(chan http.Header, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || string(body) != exampleBody {
			t.Errorf("%s %q", r.Method, body)
		}
		got <- r.Header
	}))
	defer receiver.Close()
	secret, err := webhook.ParseSecret([]byte(exampleSecret + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, webhook.Options{Secret: secret})
	if err := c.Send(t.Context(), receiver.URL, exampleID, time.Unix(exampleAt, 999), []byte(exampleBody)); err != nil {
		t.Fatal(err)
	}
	header := <-got
	for name, want := range map[string]string{
		"webhook-id": exampleID, "webhook-timestamp": fmt.Sprint(exampleAt), "webhook-signature": exampleSignature,
		"content-type": "application/json", "user-agent": "burnkey",
	} {
		if header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, header.Get(name), want)
		}
	}
}

func TestUnsignedWithoutASecret(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, is := r.Header["Webhook-Signature"]; is || r.Header.Get("Webhook-Id") != "m" {
			t.Errorf("got %v", r.Header)
		}
	}))
	defer receiver.Close()
	if err := newClient(t, webhook.Options{}).Send(t.Context(), receiver.URL, "m", time.Now(), nil); err != nil {
		t.Fatal(err)
	}
}

// TestErrors causes each kind of failure. No error may name the receiver.
func TestErrors(t *testing.T) {
	var elsewhere bool
	hang := make(chan struct{})
	mux := http.NewServeMux()
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	mux.Handle("/500", status(500))
	mux.Handle("/404", status(404))
	mux.Handle("/300", status(300))
	mux.Handle("/redirect", http.RedirectHandler("/elsewhere", http.StatusTemporaryRedirect))
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { elsewhere = true })
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { <-hang })
	mux.HandleFunc("/close", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	plain := httptest.NewServer(mux)
	defer plain.Close()
	untrusted := httptest.NewUnstartedServer(mux)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	defer untrusted.Close()
	defer close(hang)
	patient, hasty := newClient(t, webhook.Options{}), newClient(t, webhook.Options{
		HTTP: outbound.New(outbound.Options{Local: true, Timeout: 300 * time.Millisecond}),
	})
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, io.EOF }}
	lost := newClient(t, webhook.Options{HTTP: &http.Client{Transport: &http.Transport{
		DialContext: (&net.Dialer{Resolver: resolver}).DialContext,
	}}})
	for url, want := range map[string]string{
		plain.URL + "/500?key=hush":           "it answered 500",
		plain.URL + "/404":                    "it answered 404",
		plain.URL + "/300":                    "it answered 300, and redirects are not followed",
		plain.URL + "/redirect":               "it answered 307, and redirects are not followed",
		plain.URL + "/hang":                   "it did not answer in time",
		plain.URL + "/close":                  "the connection failed",
		untrusted.URL:                         "TLS failed",
		"https" + plain.URL[len("http"):]:     "TLS failed",
		"http://" + testkit.FreeAddr(t) + "/": "it can't be connected to",
		"https://hush.invalid/":               "its name can't be resolved",
		"http://hush.invalid/":                outbound.ErrPlain.Error(),
		"https://169.254.169.254/hush":        outbound.ErrAddress.Error(),
		"https://[64:ff9b::127.0.0.1]/hush":   outbound.ErrAddress.Error(),
		"http://[::1":                         "the URL is invalid",
	} {
		c := patient
		switch {
		case strings.HasSuffix(url, "/hang"):
			c = hasty
		case url == "https://hush.invalid/":
			c = lost // a name server that does not answer would be a timeout
		}
		err := c.Send(t.Context(), url, "m", time.Now(), []byte("{}"))
		var failed *webhook.Error
		if !errors.As(err, &failed) || failed.Error() != want {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
	}
	if elsewhere {
		t.Error("a redirect was followed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := patient.Send(ctx, plain.URL, "m", time.Now(), nil); err == nil || err.Error() != "it was stopped" {
		t.Error(err)
	}
}

// TestAnEndlessAnswerIsASuccess: only a limited part of the answer is read.
func TestAnEndlessAnswerIsASuccess(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	}))
	defer receiver.Close()
	if err := newClient(t, webhook.Options{}).Send(t.Context(), receiver.URL, "m", time.Now(), nil); err != nil {
		t.Fatal(err)
	}
}

func TestParseSecret(t *testing.T) {
	encoded := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, n)) }
	for text, good := range map[string]bool{
		encoded(24): true, encoded(64): true, encoded(1024): true, " " + encoded(24) + "\r\n": true,
		strings.Repeat("x", 24): true, strings.Repeat("x", 1024): true,
		"": false, "whsec_": false, encoded(23): false, encoded(1025): false, strings.Repeat("x", 23): false,
		strings.Repeat("x", 1025): false, "whsec_" + strings.Repeat("*", 40): false, strings.Repeat("x", 23) + "\n\n": false,
	} {
		secret, err := webhook.ParseSecret([]byte(text))
		if (err == nil) != good {
			t.Errorf("%.40q: %v", text, err)
		}
		if err != nil && len(text) > 10 && strings.Contains(err.Error(), text[6:]) {
			t.Errorf("the error says %q", err)
		}
		if shown := fmt.Sprintf("%v %+v %#v %s", secret, secret, secret, secret); good && strings.Contains(shown, "xxx") {
			t.Error("a secret prints")
		}
	}
}
