package jwks

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestReadState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.jwks")
	if _, err := ReadState(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	sets := writeJournal(t, path, 5, time.Now())
	before, _ := os.ReadFile(path)
	got, err := ReadState(path)
	if err != nil {
		t.Fatal(err)
	}
	last := sets[len(sets)-1]
	if len(got) != 1 || got[""].Version() != last.version || !bytes.Equal(plainBytes(t, setOf(t, got[""])), plainBytes(t, last)) {
		t.Errorf("got %v", got)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the file was changed")
	}
	for name, text := range map[string][]byte{"empty": {}, "junk": []byte(`{"keys":[]}`), "flipped": flip(before, len(before)/2)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadState(path); err == nil || got != nil {
			t.Errorf("%s: read %v", name, got)
		}
	}
}

func flip(text []byte, at int) []byte {
	text = bytes.Clone(text)
	text[at] ^= 1
	return text
}
