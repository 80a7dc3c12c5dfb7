package main

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// A gateway without a management key warns in one line of what it does not hold, and names the flag.
func TestGatewayWarnsWithoutAKey(t *testing.T) {
	warnings := func(s *gatewayService) (about []string) {
		var out bytes.Buffer
		s.announce(slog.New(slog.NewTextHandler(&out, nil)), "127.0.0.1:1")
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, "level=WARN") && strings.Contains(line, "limits of keys") {
				about = append(about, line)
			}
		}
		return about
	}
	var s gatewayService
	s.define(&cobra.Command{})
	s.o.Workspaces = []string{"acme"}
	about := warnings(&s)
	if len(about) != 1 || !strings.Contains(about[0], "--key-file") || !strings.Contains(about[0], "allowed addresses") {
		t.Errorf("without a key: %q", about)
	}
	s.keyFile = filepath.Join(t.TempDir(), "gateway.key")
	if about := warnings(&s); len(about) > 0 {
		t.Errorf("with a key: %q", about)
	}
}
