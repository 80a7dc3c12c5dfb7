package jwks

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// content is the data that a Follower keeps up to date. The Follower handles versions, events, resuming and
// restarting in the same way for any content.
type content interface {
	state() setState
	// apply applies a change event, unless the content already has the event's version. It returns errEvent
	// for an invalid event or a gap, and errDiverged for a change that does not match the content.
	apply(id string, data []byte) (applied bool, err error)
	// read reads a complete set.
	read(body io.Reader) (incoming, error)
}

// incoming is a complete set that was read. The caller must call install or abort.
type incoming interface {
	fingerprint() Fingerprint
	differs() bool // from the content
	install(version uint64, moment func(show func())) error
	abort()
}

// keys are the published keys.
type keys struct {
	table   *Table
	journal *journal // or nil
}

func (k keys) state() setState { return k.table.state() }

func (k keys) apply(id string, data []byte) (applied bool, err error) {
	var change Change
	if err := change.UnmarshalJSON(data); err != nil {
		return false, fmt.Errorf("%w: %w", errEvent, err)
	}
	if id != strconv.FormatUint(change.Version, 10) {
		return false, fmt.Errorf("%w: the id is not the version", errEvent)
	}
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
		k.journal.add(change)
	}
	return true, nil
}

func (k keys) read(body io.Reader) (incoming, error) {
	next := k.table.refresh()
	empty := true
	err := ReadSet(body, func(key Key) error { empty = false; return next.Add(key) })
	if err == nil && empty {
		err = errEmpty
	}
	if err != nil {
		next.abort()
		return nil, err
	}
	return next, nil
}

func (r *refresh) fingerprint() Fingerprint { return r.print }
