package publish

import (
	"runtime"
	"sync/atomic"
)

// maxWhole is the number of keys up to which the plain form is cached in one piece: 7.4 MB.
const maxWhole = 1 << 14

// wholesMost bounds the whole forms of a set's versions in memory (30 MB), since slow readers may each
// hold a different version.
const wholesMost = 4

// wholes counts the whole forms in memory, until they are garbage collected.
type wholes struct{ n atomic.Int32 }

func (w *wholes) enter() bool {
	if w.n.Add(1) <= wholesMost {
		return true
	}
	w.n.Add(-1)
	return false
}

func (w *wholes) leave() { w.n.Add(-1) }

// whole is a set's plain form in one piece. Writing it at once takes half the time of writing hundreds
// of chunks. It is made at the second request for a version, so that a set which changes before each
// request is not copied each time.
type whole struct {
	asked atomic.Bool
	text  atomic.Pointer[[]byte]
}

// of returns the set's plain form, or nil if it is not cached in one piece.
func (w *whole) of(s *Set) []byte {
	if text := w.text.Load(); text != nil {
		return *text
	}
	if s.Len() > maxWhole || !w.asked.Swap(true) || !s.wholes.enter() {
		return nil
	}
	text := s.join()
	runtime.AddCleanup(&text[0], (*wholes).leave, s.wholes) // later Sets may use parts of the text
	w.text.Store(&text)
	return text
}

// join joins the texts of the leaves and makes each a part of the joined text, so that they use no
// memory of their own. The last leaf has no text, since there is no comma after its last key.
func (s *Set) join() []byte {
	text := append(make([]byte, 0, s.Size()), setHead...)
	left := s.Len()
	for leaf := range s.root.leaves {
		from := len(text)
		if kept := leaf.forms.text.Load(); kept != nil {
			text = append(text, *kept...)
		} else {
			text = leaf.appendTo(text)
		}
		if left -= leaf.count; left == 0 {
			leaf.forms.text.Store(nil)
			text = text[:len(text)-1]
			break
		}
		part := text[from:len(text):len(text)]
		leaf.forms.text.Store(&part)
	}
	return append(text, setTail...)
}
