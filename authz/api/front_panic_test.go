package api

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

func TestPanicBeforeTheRouter(t *testing.T) {
	var log bytes.Buffer
	a := &api{log: slog.New(slog.NewTextHandler(&log, nil))}
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if err := a.write(c, a.problem(c.Request().Context(), err)); err != nil {
			t.Error(err)
		}
	}
	broken := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("what it broke with") })
	e.Pre(a.sets(broken, newMetrics(prometheus.NewRegistry())))
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest("GET", strings.Replace(setRoute, ":ws", "acme", 1), nil))
	id := w.Header().Get(echo.HeaderXRequestID)
	if w.Code != 500 || w.Header().Get("Content-Type") != problemType || id == "" {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
	text := log.String()
	if strings.Contains(text+w.Body.String(), "what it broke with") || strings.Count(text, id) != 3 {
		t.Errorf("the log does not name the request three times, or says too much:\n%s", text)
	}
}
