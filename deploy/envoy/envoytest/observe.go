package envoytest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A Collector receives traces by OTLP over HTTP.
type Collector struct {
	URL string

	mu   sync.Mutex
	text strings.Builder
}

// NewCollector serves until the test ends.
func NewCollector(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.text.WriteString(r.URL.Path)
		c.text.Write(body)
	}))
	t.Cleanup(s.Close)
	c.URL = s.URL
	return c
}

// Received returns all paths and bodies so far.
func (c *Collector) Received() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// AccessLog returns the lines of JSON in Envoy's output.
func (e *Envoy) AccessLog(t testing.TB) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(e.Log()) {
		entry := map[string]any{}
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &entry) == nil {
			lines = append(lines, entry)
		}
	}
	return lines
}
