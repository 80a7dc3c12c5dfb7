package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestSuggestFlag(t *testing.T) {
	for args, want := range map[string]string{
		"gateway --max-stalenes 1m":     "unknown flag: --max-stalenes; did you mean --max-staleness?",
		"gateway --worksapce a":         "unknown flag: --worksapce; did you mean --workspace?",
		"gateway --metrics x":           "unknown flag: --metrics; did you mean --metrics-listen?",
		"key issue --sever x":           "unknown flag: --sever; did you mean --server?",
		"envoy config --nothing-like-x": "unknown flag: --nothing-like-x",
		"gateway -x":                    "unknown shorthand flag: 'x' in -x",
	} {
		cmd := rootCommand()
		cmd.SetArgs(strings.Fields(args))
		cmd.SetOut(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

// TestSuggestCommand looks at what is printed, byte by byte: nothing of it is unprintable.
func TestSuggestCommand(t *testing.T) {
	cmd := rootCommand()
	cmd.SetArgs([]string{"kye", "list"})
	var out bytes.Buffer
	report(&out, cmd.ExecuteContext(t.Context()))
	const want = "burnkey: unknown command \"kye\" for \"burnkey\"\n\nDid you mean this?\n  key\n\n"
	if out.String() != want {
		t.Errorf("printed %q, want %q", out.Bytes(), want)
	}
}
