package logs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Unix(1_000_000, 0)} }

func (c *clock) Now() time.Time       { return c.now }
func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }
func logTo(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// lines returns the lines that were logged since the last call.
func lines(b *bytes.Buffer) []string {
	defer b.Reset()
	return strings.FieldsFunc(b.String(), func(r rune) bool { return r == '\n' })
}

func TestThrottlePassesOneLineAMinuteOfEachSubject(t *testing.T) {
	var out bytes.Buffer
	log, c := logTo(&out), newClock()
	throttle := Throttle{Now: c.Now}
	for range 3 {
		throttle.For(log, "a").Warn("full", "of", "a")
	}
	throttle.For(log, "b").Warn("full", "of", "b")
	want(t, lines(&out), "level=WARN msg=full of=a", "level=WARN msg=full of=b")
	c.pass(Every - 1)
	throttle.For(log, "a").Warn("full")
	want(t, lines(&out))
	c.pass(1)
	throttle.For(log, "a").Warn("full")
	want(t, lines(&out), "level=WARN msg=full suppressed=3")
}

func TestThrottleSurvivesAClockThatIsSetBack(t *testing.T) {
	var out bytes.Buffer
	log, c := logTo(&out), newClock()
	throttle := Throttle{Now: c.Now}
	throttle.For(log, "a").Warn("full")
	c.pass(-time.Hour)
	throttle.For(log, "a").Warn("full")
	want(t, lines(&out), "level=WARN msg=full", "level=WARN msg=full")
}

func TestThrottleBoundsItsSubjects(t *testing.T) {
	var out bytes.Buffer
	log, c := logTo(&out), newClock()
	throttle := Throttle{Now: c.Now}
	for i := range 3 * subjects {
		throttle.For(log, fmt.Sprint(i)).Warn("full")
	}
	if got := len(lines(&out)); got != subjects {
		t.Errorf("%d lines about as many subjects, want %d", got, subjects)
	}
	if got := len(throttle.last); got != subjects {
		t.Errorf("%d subjects are remembered, want %d", got, subjects)
	}
	c.pass(Every)
	throttle.For(log, "one more").Warn("full")
	want(t, lines(&out), fmt.Sprintf("level=WARN msg=full suppressed=%d", 2*subjects))
}

func TestFailuresAreLoggedAtTheirEdges(t *testing.T) {
	var out bytes.Buffer
	log, c := logTo(&out), newClock()
	f := Failures{Level: slog.LevelError, Throttle: Throttle{Now: c.Now}}
	down := errors.New("down")
	f.Note(log, "a", "cannot read", nil)
	want(t, lines(&out))
	for range 3 {
		f.Note(log, "a", "cannot read", down)
	}
	f.Note(log, "b", "cannot read", down)
	f.Note(log, "b", "cannot write", nil)
	want(t, lines(&out), `level=ERROR msg="cannot read" error=down`, `level=ERROR msg="cannot read" error=down`)
	c.pass(Every)
	f.Note(log, "a", "cannot read", down)
	want(t, lines(&out), `level=ERROR msg="cannot read" suppressed=2 error=down`)
	for range 2 {
		f.Note(log, "a", "cannot read", nil)
	}
	want(t, lines(&out), `level=INFO msg="recovered: cannot read"`)
	f.Note(log, "a", "cannot read", down)
	want(t, lines(&out), `level=ERROR msg="cannot read" error=down`)
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(lines, "\n") {
		t.Errorf("logged %q, want %q", got, lines)
	}
}
