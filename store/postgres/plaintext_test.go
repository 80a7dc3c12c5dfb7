package postgres

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestWarnOfPlaintext(t *testing.T) {
	for url, want := range map[string][]string{
		"postgres://u@db.example/x?sslmode=disable":        {"host=db.example"},
		"postgres://u@db.example/x?sslmode=allow":          {"host=db.example"},
		"postgres://u@db.example/x?sslmode=prefer":         {"host=db.example"},
		"postgres://u@db.example/x":                        {"host=db.example"},
		"postgres://u@10.0.0.1,10.0.0.2/x?sslmode=disable": {"host=10.0.0.1", "host=10.0.0.2"},
		"postgres://u@127.0.0.1,db.example/x":              {"host=db.example"},
		"postgres://u@db.example/x?sslmode=require":        nil,
		"postgres://u@db.example/x?sslmode=verify-full":    nil,
		"postgres://u@127.0.0.1/x?sslmode=disable":         nil,
		"postgres://u@[::1]/x?sslmode=disable":             nil,
		"postgres://u@localhost/x?sslmode=disable":         nil,
		"postgres:///x?host=/run/postgresql":               nil,
	} {
		config, err := parse(url)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		warnOfPlaintext(config.ConnConfig, slog.New(slog.NewTextHandler(&log, nil)))
		if strings.Count(log.String(), "level=WARN") != len(want) {
			t.Errorf("%s: want %d warnings:\n%s", url, len(want), &log)
		}
		for _, host := range want {
			if !strings.Contains(log.String(), host+"\n") {
				t.Errorf("%s: no %s in:\n%s", url, host, &log)
			}
		}
	}
}
