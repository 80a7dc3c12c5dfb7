// Package sse reads an event stream (WHATWG HTML section 9.2.6). Unlike a browser, it returns comments,
// accepts invalid UTF-8 and ignores the field retry.
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// MaxMessage is the maximum length, in bytes, of one line and of the buffered data of one event.
const MaxMessage = 1 << 20

// ErrTooLong is returned for an event of more than MaxMessage bytes.
var ErrTooLong = errors.New("the event is longer than 1 MiB")

// Message is an event or a comment.
type Message struct {
	Comment bool
	Name    string // empty if missing
	ID      string // the stream's last id
	Data    []byte // valid until the next call of Next; all that a comment has
}

// Reader reads the messages of a stream.
type Reader struct {
	in      *bufio.Reader
	begun   bool
	crEnded bool // the last line ended with CR, so a following LF belongs to it
	line    []byte

	id, name []byte
	data     []byte // each line with a line end
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(r, 16<<10)} }

// Next returns the next event or comment. If the stream ends within an event, it returns the reader's error.
func (m *Reader) Next() (Message, error) {
	for {
		if err := m.readLine(); err != nil {
			return Message{}, err
		}
		switch {
		case len(m.line) == 0:
			if msg, ok := m.dispatch(); ok {
				return msg, nil
			}
		case m.line[0] == ':':
			return Message{Comment: true, Data: m.line[1:]}, nil
		default:
			if err := m.field(); err != nil {
				return Message{}, err
			}
		}
	}
}

// dispatch completes an event at the blank line after it. It returns false for an event without data.
func (m *Reader) dispatch() (Message, bool) {
	msg := Message{Name: string(m.name), ID: string(m.id), Data: bytes.TrimSuffix(m.data, []byte("\n"))}
	ok := len(m.data) > 0
	m.name, m.data = m.name[:0], m.data[:0]
	return msg, ok
}

func (m *Reader) field() error {
	name, value, _ := bytes.Cut(m.line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		m.name = append(m.name[:0], value...)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			m.id = append(m.id[:0], value...)
		}
	case "data":
		if len(m.data)+len(value) >= MaxMessage {
			return ErrTooLong
		}
		m.data = append(append(m.data, value...), '\n')
	}
	return nil
}

// readLine reads a line without its end: CR, LF or both. After a CR it does not wait for an LF.
func (m *Reader) readLine() error {
	m.line = m.line[:0]
	for {
		chunk, err := m.in.Peek(max(1, m.in.Buffered()))
		if len(chunk) == 0 {
			return err
		}
		if m.crEnded && chunk[0] == '\n' {
			chunk = chunk[1:]
			m.skip(1)
		}
		m.crEnded = false
		end := bytes.IndexAny(chunk, "\r\n")
		take := end
		if end < 0 {
			take = len(chunk)
		}
		if len(m.line)+take > MaxMessage {
			return ErrTooLong
		}
		m.line = append(m.line, chunk[:take]...)
		if end < 0 {
			m.skip(take)
			continue
		}
		m.crEnded = chunk[end] == '\r'
		m.skip(end + 1)
		if !m.begun {
			m.begun = true
			m.line = bytes.TrimPrefix(m.line, []byte("\ufeff"))
		}
		return nil
	}
}

// skip discards buffered bytes, which cannot fail.
func (m *Reader) skip(n int) { _, _ = m.in.Discard(n) }
