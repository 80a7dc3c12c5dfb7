package jwks

import (
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/jwks/internal/sse"
)

// feedEvent is the data of any event of the feed.
type feedEvent struct {
	Workspace   string                `json:"workspace"`
	Version     uint64                `json:"version"`
	Fingerprint string                `json:"fingerprint"`
	Keys        []jsontext.Value      `json:"keys"`
	Add         []jsontext.Value      `json:"add"`
	Remove      []string              `json:"remove"`
	Set         map[string]Attributes `json:"set"`
	Limits      []LimitSet            `json:"limits"`
	Settings    *Settings             `json:"settings"`
	Imported    []ImportedKey         `json:"imported"`
	Dropped     []string              `json:"dropped"`
	Age         float64               `json:"age"` // seconds
}

// readFeedEvent reads an event, or returns nil for one that is unknown. It refuses unknown members: they may
// restrict a key.
func readFeedEvent(msg sse.Message) (*feedEvent, error) {
	switch msg.Name {
	case "set", "reset", "change", "gone", "age":
	default:
		return nil, nil // from a newer server; a missing change would be noticed as a gap
	}
	e := new(feedEvent)
	if err := json.Unmarshal(msg.Data, e, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errEvent, msg.Name, err)
	}
	if e.Workspace == "" || e.Version == 0 && msg.Name != "gone" && msg.Name != "age" {
		return nil, fmt.Errorf("%w: %s without a workspace or version", errEvent, msg.Name)
	}
	return e, nil
}

func (e *feedEvent) unsigned() (Unsigned, error) {
	return (&unsignedWire{e.Set, e.Limits, e.Settings, e.Imported, e.Dropped}).read()
}

// change returns the change of an event.
func (e *feedEvent) change() (Change, error) {
	c := Change{Version: e.Version}
	for _, jwk := range e.Add {
		key, err := readKey(jwk)
		if err != nil {
			return c, fmt.Errorf("%w: %w", errEvent, err)
		}
		c.Add = append(c.Add, key)
	}
	for _, text := range e.Remove {
		kid, err := ParseKID(text)
		if err != nil {
			return c, fmt.Errorf("%w: %w", errEvent, err)
		}
		c.Remove = append(c.Remove, kid)
	}
	var err error
	if c.Unsigned, err = e.unsigned(); err != nil {
		return c, fmt.Errorf("%w: %w", errEvent, err)
	}
	return c, nil
}

// addTo adds the whole set of an event to next.
func (e *feedEvent) addTo(next *refresh) error {
	for _, jwk := range e.Keys {
		key, err := readKey(jwk)
		if err == nil {
			err = next.Add(key)
		}
		if err != nil {
			return err
		}
	}
	if len(e.Keys) == 0 {
		return errEmpty
	}
	return e.shareTo(next)
}

// shareTo adds attributes, limits, settings and imported keys to next.
func (e *feedEvent) shareTo(next *refresh) error {
	unsigned, err := e.unsigned()
	if err != nil {
		return err
	}
	for _, k := range unsigned.Set {
		if err := next.Set(k); err != nil {
			return err
		}
	}
	for _, set := range unsigned.Limits {
		next.Share(set)
	}
	for _, k := range unsigned.Imported {
		if err := next.Import(k); err != nil {
			return err
		}
	}
	if unsigned.Settings == nil {
		unsigned.Settings = new(Settings)
	}
	next.Settle(*unsigned.Settings)
	return nil
}

// readFeedSet reads a whole set of the feed: the public set, and after the keys their attributes, the limits, the
// settings and the imported keys.
func readFeedSet(body io.Reader, add func(Key) error, next *refresh) error {
	next.Settle(Settings{}) // without the member
	return readSetWith(body, add, func(dec *jsontext.Decoder, in *allowance, name string) error {
		switch name {
		case "set":
			return notSetIf(readEach(dec, in, func() error { return readAttributes(dec, next) }))
		case "limits":
			return notSetIf(readEach(dec, in, func() error {
				var set LimitSet
				err := json.UnmarshalDecode(dec, &set, json.RejectUnknownMembers(true))
				if err == nil {
					err = set.Check()
				}
				if err == nil {
					next.Share(set)
				}
				return err
			}))
		case "settings":
			return notSetIf(readSettings(dec, next))
		case "imported":
			return notSetIf(readEach(dec, in, func() error {
				var key ImportedKey
				if err := json.UnmarshalDecode(dec, &key, json.RejectUnknownMembers(true)); err != nil {
					return err
				}
				return next.Import(key)
			}))
		}
		return fmt.Errorf("%w: unknown member %q", ErrAttributes, name)
	})
}

// readEach calls read for each element of a list, or each name and value of an object.
func readEach(dec *jsontext.Decoder, in *allowance, read func() error) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for kind := dec.PeekKind(); kind != ']' && kind != '}'; kind = dec.PeekKind() {
		if err := read(); err != nil {
			return err
		}
		in.left = maxBetween
	}
	_, err := dec.ReadToken()
	return err
}

// readAttributes reads the attributes of one key.
func readAttributes(dec *jsontext.Decoder, next *refresh) error {
	name, err := dec.ReadToken()
	if err != nil {
		return err
	}
	kid, err := ParseKID(name.String())
	if err != nil {
		return err
	}
	k := KeyAttributes{KID: kid}
	if err := json.UnmarshalDecode(dec, &k.Attributes, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	if err := CheckLimits(k.Attributes.Limits); err != nil {
		return err
	}
	return next.Set(k)
}

func readSettings(dec *jsontext.Decoder, next *refresh) error {
	var settings Settings
	if err := json.UnmarshalDecode(dec, &settings, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	if err := settings.Check(); err != nil {
		return err
	}
	next.Settle(settings)
	return nil
}

// takeSet installs a whole set.
func (c *feedCourse) takeSet(m *member, e *feedEvent) error {
	m.changing.Lock()
	defer m.changing.Unlock()
	if m.fetching { // the fetching goroutine installs it instead
		m.newSet, m.waiting = e, nil
		if m.cancel != nil {
			m.cancel()
		}
		return nil
	}
	return c.installSet(m, e)
}

// installSet installs a whole set. The caller holds the lock.
func (c *feedCourse) installSet(m *member, e *feedEvent) error {
	next := m.table.refresh()
	err := e.addTo(next)
	if err == nil && next.feedPrint().String() != e.Fingerprint {
		err = errMixed
	}
	if err == nil {
		at := c.lastCurrent() // at least
		err = next.install(e.Version, func(show func()) { m.showCurrent(at, show) })
	}
	if err != nil {
		next.abort()
		return fmt.Errorf("%w: the set of workspace %s: %w", errEvent, e.Workspace, err)
	}
	c.setInStep(m, true)
	m.announce()
	return nil
}

// takeChange applies a change, or keeps it until the set is fetched. After an error, the set must be fetched.
func (m *member) takeChange(e *feedEvent) error {
	change, err := e.change()
	if err != nil {
		return err
	}
	m.changing.Lock()
	defer m.changing.Unlock()
	if m.fetching {
		m.wait(change)
		return nil
	}
	if _, err := m.content().apply(change); err != nil {
		return err
	}
	if have := m.content().state(); have.version == e.Version && !have.mayBe(e.Fingerprint) {
		return errDiverged
	}
	return nil
}

// wait keeps a change. If there are too many, the set must be fetched once more.
func (m *member) wait(change Change) {
	if m.newSet == nil && len(m.waiting) == maxQueued {
		m.waiting, m.least = nil, change.Version
		return
	}
	m.waiting = append(m.waiting, change)
}

func (m *member) isFetching() bool {
	m.changing.Lock()
	defer m.changing.Unlock()
	return m.fetching
}
