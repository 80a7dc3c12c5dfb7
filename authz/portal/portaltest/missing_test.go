package portaltest

import (
	"runtime"
	"strings"
	"testing"
)

// A stub records how a test ended.
type stub struct {
	testing.TB
	failed, skipped string
}

func (s *stub) Helper() {}

func (s *stub) Fatal(args ...any) {
	s.failed = args[0].(error).Error()
	runtime.Goexit()
}

func (s *stub) Skip(args ...any) {
	s.skipped = args[0].(error).Error()
	runtime.Goexit()
}

func ended(test func(testing.TB)) *stub {
	s := new(stub)
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(s)
	}()
	<-done
	return s
}

// A test without its component is skipped, but fails in CI, where nobody would notice the skip.
func TestMissing(t *testing.T) {
	t.Setenv("BURNKEY_CHROMIUM", "")
	t.Setenv("PATH", t.TempDir())
	for _, test := range []struct {
		name string
		find func(testing.TB)
	}{
		{"Chromium", func(t testing.TB) { executable(t) }},
		{"tools", func(tb testing.TB) {
			t.Chdir(t.TempDir())
			tools(tb)
		}},
	} {
		t.Setenv("CI", "")
		if s := ended(test.find); !strings.Contains(s.skipped, "run make browser") || s.failed != "" {
			t.Errorf("%s: skipped %q, failed %q", test.name, s.skipped, s.failed)
		}
		t.Setenv("CI", "true")
		if s := ended(test.find); !strings.Contains(s.failed, "run make browser") || s.skipped != "" {
			t.Errorf("%s in CI: skipped %q, failed %q", test.name, s.skipped, s.failed)
		}
	}
}
