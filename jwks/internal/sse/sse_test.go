package sse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// readMessages returns all messages of a stream in short form, and the error at the end.
func readMessages(r io.Reader) (short []string, err error) {
	in := NewReader(r)
	for {
		msg, err := in.Next()
		if err != nil {
			return short, err
		}
		if msg.Comment {
			short = append(short, fmt.Sprintf("# %s", msg.Data))
		} else {
			short = append(short, fmt.Sprintf("%s|%s|%q", msg.Name, msg.ID, msg.Data))
		}
	}
}

func TestMessages(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"one", "id: 1\nevent: change\ndata: {}\n\n", []string{`change|1|"{}"`}},
		{"CR", "id: 1\revent: change\rdata: {}\r\r", []string{`change|1|"{}"`}},
		{"CRLF", "id: 1\r\nevent: change\r\ndata: {}\r\n\r\n", []string{`change|1|"{}"`}},
		{"mixed", "id: 1\revent: change\r\ndata: {}\n\r\ndata: x\n\r", []string{`change|1|"{}"`, `|1|"x"`}},
		{"byte order mark", "\ufeffdata: a\n\n", []string{`||"a"`}},
		{"a second byte order mark", "data: a\n\n\ufeffdata: b\n\n", []string{`||"a"`}},
		{"one space alone goes", "data:a\ndata: b\ndata:  c\n\n", []string{`||"a\nb\n c"`}},
		{"no colon", "data\ndata\n\n", []string{`||"\n"`}},
		{"empty data is data", "data:\n\n", []string{`||""`}},
		{"no data is no event", "event: x\nid: 7\n\ndata: a\n\n", []string{`|7|"a"`}},
		{"the last name holds", "event: a\nevent: b\ndata: c\n\n", []string{`b||"c"`}},
		{"the id stays, the name goes", "id: 1\nevent: e\ndata: a\n\ndata: b\n\n", []string{`e|1|"a"`, `|1|"b"`}},
		{"an id with NUL is ignored", "id: 1\nid: a\x00\ndata: b\n\n", []string{`|1|"b"`}},
		{"an empty id", "id: 1\nid\ndata: b\n\n", []string{`||"b"`}},
		{"comments", ": age=3\ndata: a\n:\n: b\n\n", []string{"#  age=3", "# ", "#  b", `||"a"`}},
		{"unknown fields", "retry: 1\ndatum: 2\nDATA: 3\n data: 4\ndata: a\n\n", []string{`||"a"`}},
		{"cut off", "data: a\n\ndata: b\n", []string{`||"a"`}},
		{"cut off in a line", "data: a\n\ndata: b", []string{`||"a"`}},
		{"colons", "data: a:b: c\n\n", []string{`||"a:b: c"`}},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "with its end": iotest.DataErrReader,
		} {
			got, err := readMessages(wrap(strings.NewReader(test.text)))
			if !slices.Equal(got, test.want) || !errors.Is(err, io.EOF) {
				t.Errorf("%s, %s: got %q, %v, want %q", test.name, name, got, err, test.want)
			}
		}
	}
}

// A CR ends a line, so Next must return the message without waiting for the next byte.
func TestMessagesDoNotWaitAfterCR(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go func() { _, _ = io.WriteString(w, "data: a\r\r") }()
	in := NewReader(r)
	if msg, err := in.Next(); err != nil || string(msg.Data) != "a" {
		t.Errorf("got %+v, %v", msg, err)
	}
}

// endless gives a text over and over.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.text[e.at]
		e.at = (e.at + 1) % len(e.text)
	}
	return len(p), nil
}

func TestMessagesAreBounded(t *testing.T) {
	for _, text := range []string{"x", "data: x\n", "data:", ":", "data\n"} {
		in := NewReader(&endless{text: text})
		if msg, err := in.Next(); !errors.Is(err, ErrTooLong) {
			t.Errorf("%q without end: %+v, %v", text, msg.Name, err)
		}
		if most := 2*MaxMessage + 1<<16; cap(in.line) > most || cap(in.data) > most {
			t.Errorf("%q without end: %d and %d bytes are held", text, cap(in.line), cap(in.data))
		}
	}
	long := strings.Repeat("x", MaxMessage-10)
	if got, err := readMessages(strings.NewReader("data: " + long + "\n\n")); len(got) != 1 || !errors.Is(err, io.EOF) {
		t.Errorf("%d events, %v", len(got), err)
	}
	// The limit is one event's.
	if got, err := readMessages(strings.NewReader(strings.Repeat("data: "+long[:1<<19]+"\n\n", 8))); len(got) != 8 || !errors.Is(err, io.EOF) {
		t.Errorf("%d events, %v", len(got), err)
	}
}

// The messages do not depend on how the bytes are split into reads or how lines end.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		"id: 1\nevent: change\ndata: {}\n\n", ": age=1\r\n\r\ndata\r\rdata: x\n\n", "\ufeff\ufeff:\n", "data: a\n\ndata: b",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want, wantErr := readMessages(bytes.NewReader(text))
		got, err := readMessages(iotest.OneByteReader(bytes.NewReader(text)))
		if !slices.Equal(got, want) || !errors.Is(err, io.EOF) || !errors.Is(wantErr, io.EOF) {
			t.Errorf("%q is %q, %v, and byte by byte %q, %v", text, want, wantErr, got, err)
		}
		plain := bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
		if got, _ := readMessages(bytes.NewReader(plain)); !slices.Equal(got, want) {
			t.Errorf("%q is %q, and with LF %q", text, want, got)
		}
	})
}
