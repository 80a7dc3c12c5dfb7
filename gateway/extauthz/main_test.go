package extauthz

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(portaltest.Main(m)) }

var (
	check, eventually   = testkit.Check, testkit.Eventually
	own, other, newPair = gatewaytest.Own, gatewaytest.Other, gatewaytest.NewPair
	payload             = gatewaytest.Payload
)

// options returns Options for a Gateway that follows the given workspaces of o.
func options(o *gatewaytest.Origin, workspaces ...string) gateway.Options {
	return gateway.Options{
		Server: o.URL, PublicURL: gatewaytest.PublicURL, Workspaces: workspaces, AnyAudience: true, Log: slog.New(slog.DiscardHandler),
	}
}

// start returns a Server whose Gateway runs until the test ends.
func start(tb testing.TB, o gateway.Options, metrics prometheus.Registerer) *Server {
	tb.Helper()
	g, err := gateway.New(o)
	check(tb, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	return New(g, o.Log, metrics)
}

// stopFor stops the origin and waits until the Server has read all that it sent: a late heartbeat would make keys fresh again.
func stopFor(tb testing.TB, s *Server, o *gatewaytest.Origin) {
	tb.Helper()
	o.Stop()
	eventually(tb, "no stream is left", func() bool { n := s.gateway.Stats(); return n.Polling == n.Workspaces })
}

// follow returns a ready Server that follows acme, which publishes the key own, and beta, which publishes
// other.
func follow(tb testing.TB, edit func(*gateway.Options)) (*Server, *gatewaytest.Origin) {
	tb.Helper()
	return followTo(tb, nil, edit)
}

func followTo(tb testing.TB, metrics prometheus.Registerer, edit func(*gateway.Options)) (*Server, *gatewaytest.Origin) {
	tb.Helper()
	o := gatewaytest.NewOrigin(tb, "acme", "beta")
	o.Publish("acme", own())
	o.Publish("beta", other())
	with := options(o, "acme", "beta")
	if edit != nil {
		edit(&with)
	}
	s := start(tb, with, metrics)
	eventually(tb, "the keys are known", func() bool { return s.gateway.Ready() == nil })
	return s, o
}

func request(method string, authorization ...string) *authv3.CheckRequest {
	headers := map[string]string{":authority": "api.example.com"}
	if len(authorization) > 0 {
		headers["authorization"] = strings.Join(authorization, ",") // as Envoy does
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Method: method, Host: "api.example.com", Path: "/v1/tiles?x=1", Headers: headers},
	}}}
}

func with(in *authv3.CheckRequest, extensions map[string]string) *authv3.CheckRequest {
	in.Attributes.ContextExtensions = extensions
	return in
}

// verdict is the part of an answer that tests compare.
type verdict struct {
	status  int // 200 for one that passes
	headers http.Header
	removed []string
	body    string
	meta    map[string]any
}

func ask(tb testing.TB, s *Server, in *authv3.CheckRequest) verdict {
	tb.Helper()
	answer, err := s.Check(tb.Context(), in)
	check(tb, err)
	v := verdict{status: http.StatusOK, headers: http.Header{}, meta: answer.GetDynamicMetadata().AsMap()}
	options := answer.GetOkResponse().GetHeaders()
	v.removed = answer.GetOkResponse().GetHeadersToRemove()
	if denied := answer.GetDeniedResponse(); denied != nil {
		v.status, v.body, options = int(denied.GetStatus().GetCode()), denied.GetBody(), denied.GetHeaders()
	}
	if passes := answer.GetStatus().GetCode() == 0; passes != (v.status == http.StatusOK) || passes != (answer.GetOkResponse() != nil) {
		tb.Fatalf("the answer says both: %v", answer)
	}
	for _, option := range options {
		if option.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			tb.Errorf("%s is not overwritten", option.GetHeader().GetKey())
		}
		v.headers.Add(option.GetHeader().GetKey(), option.GetHeader().GetValue())
	}
	return v
}

func wantProblem(t *testing.T, name string, v verdict) {
	t.Helper()
	gatewaytest.Problem(t, name, v.status, v.headers, v.body)
	if v.meta["refused"] == nil || v.meta["workspace"] != nil {
		t.Errorf("%s: metadata %v", name, v.meta)
	}
}
