package jwks

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxMessage bounds one line of an event stream, and all that is kept of one
// event, in bytes.
const maxMessage = 1 << 20

var errTooLong = errors.New("the event is longer than 1 MiB")

// message is an event, or a comment, which then is all that data holds.
type message struct {
	comment bool
	name    string // empty where the stream named none
	id      string // the last one that the stream gave, with this event or before
	data    []byte // valid until the next call of next
}

// messages reads an event stream (WHATWG HTML section 9.2.6). Unlike a browser
// it reports comments, leaves bytes that are no UTF-8 as they are, and does not
// know retry.
type messages struct {
	in      *bufio.Reader
	begun   bool
	crEnded bool // the last line ended with CR: LF belongs to it
	line    []byte

	id, name []byte
	data     []byte // with a line end behind each line
}

func newMessages(r io.Reader) *messages { return &messages{in: bufio.NewReaderSize(r, 16<<10)} }

// next returns the next event or comment. An event that the stream's end cuts
// off is dropped; the error is then the reader's.
func (m *messages) next() (message, error) {
	for {
		if err := m.readLine(); err != nil {
			return message{}, err
		}
		switch {
		case len(m.line) == 0:
			if msg, ok := m.dispatch(); ok {
				return msg, nil
			}
		case m.line[0] == ':':
			return message{comment: true, data: m.line[1:]}, nil
		default:
			if err := m.field(); err != nil {
				return message{}, err
			}
		}
	}
}

// dispatch ends an event at its blank line. Without data there is none.
func (m *messages) dispatch() (message, bool) {
	msg := message{name: string(m.name), id: string(m.id), data: bytes.TrimSuffix(m.data, []byte("\n"))}
	ok := len(m.data) > 0
	m.name, m.data = m.name[:0], m.data[:0]
	return msg, ok
}

func (m *messages) field() error {
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
		if len(m.data)+len(value) >= maxMessage {
			return errTooLong
		}
		m.data = append(append(m.data, value...), '\n')
	}
	return nil
}

// readLine reads a line without its end, which is CR, LF or both. It does not
// wait for an LF behind a CR.
func (m *messages) readLine() error {
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
		if len(m.line)+take > maxMessage {
			return errTooLong
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

// skip passes over bytes that are in the buffer, which cannot fail.
func (m *messages) skip(n int) { _, _ = m.in.Discard(n) }
