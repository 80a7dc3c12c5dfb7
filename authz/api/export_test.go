package api

import (
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/api/reference"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store/sqlite"
)

// Reference returns the operations of a server's document as Markdown.
func Reference(t *testing.T) string {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "burnkey.db"))
	testkit.Check(t, err)
	t.Cleanup(func() { testkit.Check(t, db.Close()) })
	metrics := prometheus.NewRegistry()
	publisher := publish.NewPublisher(db, metrics)
	service := authz.New(authz.Options{Store: db, Publisher: publisher, PublicURL: "https://keys.example.com"})
	_, doc, err := build(Options{Service: service, Publisher: publisher, Metrics: metrics})
	testkit.Check(t, err)
	return reference.Markdown(doc)
}
