package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/authz/api/reference"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/gateway/extauthz"
	"github.com/burnkey/burnkey/internal/networks"
	"github.com/burnkey/burnkey/internal/outbound"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/publish"
)

// serverMetrics returns the registry of a server that has answered one request.
func serverMetrics(t *testing.T) *prometheus.Registry {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := &server{publicURL: "http://127.0.0.1:8080", streamReaders: 100}
	r := &running{
		server: s, metrics: newRegistry(), log: log, closing: make(chan struct{}), calls: outbound.New(outbound.Options{}),
	}
	var err error
	r.store, err = openStore(t.Context(), "database", "sqlite:"+filepath.Join(t.TempDir(), "burnkey.db"), log)
	testkit.Check(t, err)
	t.Cleanup(func() { testkit.Check(t, r.store.Close()) })
	r.publisher = publish.NewPublisher(r.store, r.metrics)
	r.service, err = newService(r.store, r.publisher, s.publicURL, nil, log, mint.Options{Metrics: r.metrics, Log: log})
	testkit.Check(t, err)
	testkit.Check(t, r.publisher.Load(t.Context())) // without it, the age of the sets is unknown
	handler, err := r.handler()
	testkit.Check(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Check(t, err)
	t.Cleanup(func() { listener.Close() })
	boundConnections(listener, networks.List{}, r.metrics, log)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(r.background(ctx))
	t.Cleanup(cancel)
	// Background work registers its metrics when it begins.
	testkit.Eventually(t, "all metrics are registered", func() bool {
		var names strings.Builder
		for _, d := range descriptions(r.metrics) {
			names.WriteString(d.String())
		}
		return strings.Contains(names.String(), "burnkey_reap_lag_seconds") && strings.Contains(names.String(), "burnkey_notices_total")
	})
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/healthz", nil))
	return r.metrics
}

// gatewayMetrics returns the registry of a gateway service.
func gatewayMetrics(t *testing.T) *prometheus.Registry {
	t.Helper()
	s := &gatewayService{flags: new(pflag.FlagSet)}
	s.server, s.o.Workspaces, s.o.AnyAudience = "http://127.0.0.1:8080", []string{"acme"}, true
	s.shared.url = "redis://127.0.0.1"
	log, metrics := slog.New(slog.DiscardHandler), newRegistry()
	g, err := s.newGateway(log, metrics)
	testkit.Check(t, err)
	extauthz.New(g, log, metrics)
	return metrics
}

// metric is one row of the reference.
type metric struct{ name, kind, labels, help string }

var description = regexp.MustCompile(`fqName: "([^"]*)", help: (".*"), unit: ".*", constLabels: \{.*\}, variableLabels: \{(.*)\}\}`)

// descriptions returns the descriptions of all metrics in the registry.
func descriptions(registry *prometheus.Registry) (all []*prometheus.Desc) {
	described := make(chan *prometheus.Desc)
	go func() {
		defer close(described)
		registry.Describe(described)
	}()
	for d := range described {
		all = append(all, d)
	}
	return all
}

// metricsOf returns Burnkey's own metrics in the registry, by name.
func metricsOf(t *testing.T, registry *prometheus.Registry) (all []metric) {
	t.Helper()
	kinds := make(map[string]string)
	families, err := registry.Gather()
	testkit.Check(t, err)
	for _, f := range families {
		kinds[f.GetName()] = strings.ToLower(f.GetType().String())
	}
	for _, d := range descriptions(registry) {
		parts := description.FindStringSubmatch(d.String())
		if parts == nil || !strings.HasPrefix(parts[1], "burnkey_") {
			continue
		}
		help, err := strconv.Unquote(parts[2])
		if err != nil {
			t.Fatalf("%s: %v", d, err)
		}
		kind := kinds[parts[1]]
		if kind == "" && strings.HasSuffix(parts[1], "_total") { // a counter with labels, which has counted nothing yet
			kind = "counter"
		}
		if kind == "" || help == "" {
			t.Errorf("%s: no kind or no help", parts[1])
		}
		all = append(all, metric{parts[1], kind, strings.ReplaceAll(parts[3], ",", ", "), help})
	}
	slices.SortFunc(all, func(a, b metric) int { return cmp.Compare(a.name, b.name) })
	return slices.Compact(all)
}

// TestReferenceOfMetrics checks that the reference has every metric.
func TestReferenceOfMetrics(t *testing.T) {
	for part, registry := range map[string]*prometheus.Registry{"server": serverMetrics(t), "gateway": gatewayMetrics(t)} {
		var text strings.Builder
		text.WriteString("| metric | kind | labels | |\n|---|---|---|---|\n")
		for _, m := range metricsOf(t, registry) {
			fmt.Fprintf(&text, "| `%s` | %s | %s | %s |\n", m.name, m.kind, m.labels, reference.Cell(m.help))
		}
		testkit.Generated(t, "../../docs/reference/metrics.md", part, text.String())
	}
}
