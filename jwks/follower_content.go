package jwks

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// content is the data that a Follower keeps up to date: the keys, or with a feed the keys and their attributes.
type content struct {
	table   *Table
	journal *journal // or nil
	section *section
	feed    bool
}

func (f *Follower) content() content { return content{&f.table, f.journal, f.section, f.feed != nil} }

// state identifies the content. Its fingerprint is that of the feed if the content is from a feed.
func (k content) state() setState {
	have := k.table.state()
	if k.feed {
		have.print = have.feed
	}
	return have
}

// apply applies a change, unless the content already has the change's version. It returns errEvent for a gap,
// and errDiverged for a change that does not match the content.
func (k content) apply(change Change) (applied bool, err error) {
	if change.Version <= k.table.Version() {
		return false, nil
	}
	err = k.table.Apply(change)
	switch {
	case errors.Is(err, ErrVersionGap):
		return false, fmt.Errorf("%w: %w", errEvent, err)
	case err != nil:
		return false, fmt.Errorf("%w: %w", errDiverged, err)
	}
	if k.journal != nil {
		k.journal.add(k.section, change)
	}
	return true, nil
}

// readChange reads an event of the public stream. It returns errEvent for an invalid event.
func readChange(id string, data []byte) (Change, error) {
	var change Change
	if err := change.UnmarshalJSON(data); err != nil {
		return Change{}, fmt.Errorf("%w: %w", errEvent, err)
	}
	if id != strconv.FormatUint(change.Version, 10) {
		return Change{}, fmt.Errorf("%w: the id is not the version", errEvent)
	}
	return change, nil
}

// read reads a complete set. The caller must call install or abort.
func (k content) read(body io.Reader) (*refresh, error) {
	next := k.table.refresh()
	empty := true
	add := func(key Key) error { empty = false; return next.Add(key) }
	var err error
	if k.feed {
		err = readFeedSet(body, add, next)
	} else {
		err = ReadSet(body, add)
	}
	if err == nil && empty {
		err = errEmpty
	}
	if err != nil {
		next.abort()
		return nil, err
	}
	return next, nil
}

// printOf returns the fingerprint of a complete set that was read.
func (k content) printOf(next *refresh) Fingerprint {
	if k.feed {
		return next.feedPrint()
	}
	return next.fingerprint()
}

func (r *refresh) fingerprint() Fingerprint { return r.print }

// feedPrint returns the fingerprint of the keys with their attributes, limits and settings.
func (r *refresh) feedPrint() Fingerprint {
	print := r.print
	print.Toggle((*KID)(&r.unsigned))
	return print
}
