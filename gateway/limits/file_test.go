package limits

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// stored returns a Local with a file, at a time after began.
func stored(t *testing.T, path string, after time.Duration) *Local {
	t.Helper()
	l := newLocal(t, func(o *LocalOptions) {
		o.File, o.Now = path, func() time.Time { return began.Add(after) }
	})
	t.Cleanup(l.Close)
	return l
}

func remaining(t *testing.T, l *Local, after time.Duration, r Rule) uint32 {
	t.Helper()
	_, state := take(t, l, after, 0, r)
	return state.Remaining
}

func TestQuotasSurviveARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "quotas")
	day, month, rate := per(jwks.Day, 10), per(jwks.Month, 100), perSeconds(10, 3600)
	l := stored(t, path, 0)
	passes(t, l, 0, 3, day, month, rate)
	check(t, l.Save())
	passes(t, l, 0, 4, day, month, rate)
	check(t, l.Save())
	passes(t, l, 0, 1, month) // and then it is killed

	l = stored(t, path, 0)
	if d, m := remaining(t, l, 0, day), remaining(t, l, 0, month); d != 3 || m != 93 {
		t.Errorf("%d remain of the day and %d of the month", d, m)
	}
	if n := remaining(t, l, 0, rate); n != 10 {
		t.Errorf("a rate was stored: %d remain", n)
	}
	const tomorrow = 13 * time.Hour // and the next month
	l = stored(t, path, tomorrow)
	if d, m := remaining(t, l, tomorrow, day), remaining(t, l, tomorrow, month); d != 10 || m != 100 || l.Stats().Entries != 0 {
		t.Errorf("of the next periods %d and %d remain; %+v", d, m, l.Stats())
	}
}

func TestTornFile(t *testing.T) {
	t.Parallel()
	path, quota := filepath.Join(t.TempDir(), "quotas"), per(jwks.Month, 100)
	l := stored(t, path, 0)
	passes(t, l, 0, 1, quota)
	check(t, l.Save())
	first := fileSize(t, path)
	passes(t, l, 0, 1, quota)
	check(t, l.Save())
	whole, err := os.ReadFile(path)
	check(t, err)
	for cut := range len(whole) {
		check(t, os.WriteFile(path, whole[:cut], 0o600))
		want := uint32(100)
		if cut >= first {
			want = 99
		}
		torn := stored(t, path, 0)
		if got := remaining(t, torn, 0, quota); got != want {
			t.Errorf("%d of %d bytes: %d remain, want %d", cut, len(whole), got, want)
		}
		torn.Close()
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0x40
		check(t, os.WriteFile(path, damaged, 0o600))
		l, err := NewLocal(LocalOptions{File: path, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return began }})
		if err != nil {
			if i >= len(fileMagic) || !errors.Is(err, ErrNotQuotas) {
				t.Errorf("damage at %d: %v", i, err)
			}
			continue
		}
		if got := remaining(t, l, 0, quota); got != 98 && got != 99 && got != 100 {
			t.Errorf("damage at %d: %d remain", i, got)
		}
		l.Close()
	}
}

func fileSize(t *testing.T, path string) int {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	return int(info.Size())
}

func TestForeignFileIsNotOverwritten(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "quotas")
	check(t, os.WriteFile(path, []byte("someone else's\n"), 0o600))
	_, err := NewLocal(LocalOptions{File: path})
	if content, _ := os.ReadFile(path); !errors.Is(err, ErrNotQuotas) || string(content) != "someone else's\n" {
		t.Errorf("%v, and the file has %q", err, content)
	}
}

func TestFileIsBounded(t *testing.T) {
	t.Parallel()
	path, quota := filepath.Join(t.TempDir(), "quotas"), per(jwks.Month, 1<<30)
	l := stored(t, path, 0)
	const keys = 1000
	for range 50 {
		for i := range keys {
			quota.Name = fmt.Sprint(i)
			passes(t, l, 0, 1, quota)
		}
		check(t, l.Save())
	}
	if size := fileSize(t, path); size > 4*keys*entryLen+1<<17 {
		t.Errorf("the file has %d bytes", size)
	}
	l = stored(t, path, 0)
	if n := remaining(t, l, 0, quota); n != 1<<30-50 {
		t.Errorf("%d were used, want 50", 1<<30-n)
	}
	if before := fileSize(t, path); before > keys*entryLen+shardCount*20 {
		t.Errorf("the file has %d bytes after a restart", before)
	}
}

// TestSaveThatFails checks that a file which could not be written is complete later.
func TestSaveThatFails(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "state")
	check(t, os.Mkdir(folder, 0o700))
	path, quota := filepath.Join(folder, "quotas"), per(jwks.Month, 100)
	l := stored(t, path, 0)
	passes(t, l, 0, 5, quota)
	check(t, l.file.open.Close()) // so that writing fails
	if err := l.Save(); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Fatalf("writing a closed file: %v", err)
	}
	check(t, os.Rename(folder, folder+"-away"))
	if err := l.Save(); err == nil {
		t.Fatal("a missing folder was written to")
	}
	check(t, os.Rename(folder+"-away", folder))
	check(t, l.Save())
	if n := remaining(t, stored(t, path, 0), 0, quota); n != 95 {
		t.Errorf("%d remain", n)
	}
}

// TestFileThatGoes checks that a file which was removed or replaced is written again, as a whole.
func TestFileThatGoes(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "state")
	path, quota := filepath.Join(folder, "quotas"), per(jwks.Month, 100)
	check(t, os.Mkdir(folder, 0o700))
	l := stored(t, path, 0)
	passes(t, l, 0, 5, quota)
	check(t, l.Save())
	check(t, os.RemoveAll(folder))
	passes(t, l, 0, 1, quota)
	if err := l.Save(); err == nil {
		t.Error("a missing folder was written to")
	}
	check(t, os.Mkdir(folder, 0o700))
	check(t, l.Save())
	if n := remaining(t, stored(t, path, 0), 0, quota); n != 94 {
		t.Errorf("%d remain", n)
	}
	check(t, os.Rename(path, path+".old"))
	check(t, os.WriteFile(path, nil, 0o600))
	check(t, l.Save())
	if n := remaining(t, stored(t, path, 0), 0, quota); n != 94 {
		t.Errorf("after the file was replaced, %d remain", n)
	}
}

// TestFileOfZeros checks that what a power failure can leave is damage, and not a foreign file.
func TestFileOfZeros(t *testing.T) {
	t.Parallel()
	path, quota := filepath.Join(t.TempDir(), "quotas"), per(jwks.Month, 100)
	for _, size := range []int{1, headLen, 1000} {
		check(t, os.WriteFile(path, make([]byte, size), 0o600))
		if n := remaining(t, stored(t, path, 0), 0, quota); n != 100 {
			t.Errorf("%d zeros: %d remain", size, n)
		}
	}
}
