package publish

import (
	"runtime"
	"sync/atomic"
)

// maxWhole is the largest set, in keys, whose plain form is kept in one piece: 7.4 MB.
const maxWhole = 1 << 14

// wholesMost is how many whole forms of a set's versions may be in memory (30 MB): slow readers
// may each keep that of a different old version.
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

// whole is a set's plain form in one piece. To write it at once takes half the time
// that hundreds of chunks do, more than sendfile(2) from a file gains: that makes
// packets of single pages. It is made when a version is asked for a second time, so
// that a set which changes at each request is not copied each time.
type whole struct {
	asked atomic.Bool
	text  atomic.Pointer[[]byte]
}

// of returns the set's plain form, or nil if that is not kept whole.
func (w *whole) of(s *Set) []byte {
	if text := w.text.Load(); text != nil {
		return *text
	}
	if s.Len() > maxWhole || !w.asked.Swap(true) || !s.wholes.enter() {
		return nil
	}
	text := s.join()
	runtime.AddCleanup(&text[0], (*wholes).leave, s.wholes) // parts of the text may outlive the Set
	w.text.Store(&text)
	return text
}

// join puts the leaves' texts together and makes theirs a part of it: they take no
// memory beside it, and the one before is let go with its set. Only the last leaf
// keeps none, since behind its last key is no comma.
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
