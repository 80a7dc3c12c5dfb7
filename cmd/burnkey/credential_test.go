package main

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestCredentialFlag(t *testing.T) {
	const pull = "envoy config -w acme --any-audience --format filter"
	const ask = "envoy config --mode gateway --gateway 127.0.0.1:9002 --format filter"
	const gateway = "gateway -w acme --any-audience"
	for args, want := range map[string]string{
		pull + " --credential bearer --credential header:X-API-Key --strip-authorization": "",
		ask + " --credential apikey,query:key":                                            "",
		ask + " --strip-authorization":                                                    "--strip-authorization: has no effect",
		pull + " --credential cookie:x":                                                   "--credential: must be bearer",
		pull + " --credential=":                                                           "--credential: must not be empty",
		pull + " --credential apikey --format espv2 --upstream 127.0.0.1:1":               "--credential: apikey is not possible",
		gateway + " --credential basic,basic":                                             `--credential: "basic" is given twice`,
	} {
		cmd := rootCommand()
		cmd.SetArgs(strings.Fields(args))
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}

// Keys in the query are accepted only with a warning.
func TestQueryWarning(t *testing.T) {
	for _, place := range []string{"query:key", "basic"} {
		var s gatewayService
		s.define(&cobra.Command{})
		s.o.Workspaces, s.o.AnyAudience, s.credentials = []string{"acme"}, true, []string{place}
		if err := s.validate(); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		s.announce(slog.New(slog.NewTextHandler(&log, nil)), "127.0.0.1:1")
		var out bytes.Buffer
		cmd := rootCommand()
		cmd.SetArgs([]string{"envoy", "config", "-w", "acme", "--any-audience", "--format", "filter", "--credential", place})
		cmd.SetOut(io.Discard)
		cmd.SetErr(&out)
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		warned := strings.HasPrefix(place, "query")
		if strings.Contains(log.String(), "in the query") != warned || strings.Contains(out.String(), "in the query") != warned {
			t.Errorf("%s: %s, %s", place, log.String(), out.String())
		}
	}
}
