package client_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/api"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer starts the real API on a new database, and returns its address and the first admin key.
func startServer(t *testing.T) (address, admin string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "burnkey.db"))
	must(t, err)
	metrics := prometheus.NewRegistry()
	publisher := publish.NewPublisher(db, metrics)
	must(t, publisher.Load(t.Context()))
	minter, err := mint.New(mint.Options{Workers: 1, Queue: 8, Metrics: metrics})
	must(t, err)
	service := authz.New(authz.Options{Store: db, Minter: minter, Publisher: publisher, PublicURL: "https://keys.example.test"})
	_, err = service.Bootstrap(t.Context(), func(token jwks.Token) error {
		admin = token.Reveal()
		return nil
	})
	must(t, err)
	handler, err := api.New(api.Options{Service: service, Publisher: publisher, Metrics: metrics, Version: "test"})
	must(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Close()
		must(t, db.Close())
	})
	return server.URL, admin
}

// connect returns a client of a server.
func connect(t *testing.T, server, key string, change ...func(*client.Options)) *client.Client {
	t.Helper()
	transport := new(http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	o := client.Options{
		Server: server, Key: func() (string, error) { return key, nil }, UserAgent: "test/1", HTTP: &http.Client{Transport: transport},
	}
	for _, f := range change {
		f(&o)
	}
	c, err := client.New(o)
	must(t, err)
	return c
}

// serve starts a server that answers requests with f until the test ends.
func serve(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// as converts between types through JSON.
func as[T any](t *testing.T, from any) (to T) {
	t.Helper()
	text, err := json.Marshal(from)
	must(t, err)
	must(t, json.Unmarshal(text, &to))
	return to
}
