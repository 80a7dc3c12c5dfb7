package jwks

import (
	"fmt"
	"slices"
)

// refresh receives a whole set: keys, attributes and the limits that keys share. The Table shows the new set
// only when the set is complete. If the Table already shows a set, refresh stores only the difference.
type refresh struct {
	t     *Table
	first bool
	seen  []uint64 // a bit for each slot whose key is also in the new set
	kept  []uint64 // a bit for each slot whose key has attributes in the new set
	texts []newText
	extra extras // keys that are not in the Table
	print Fingerprint

	unsigned Fingerprint // of attributes, shared limits, settings and imported keys
	shared   map[subject]LimitSet
	settings *Settings // nil: unknown
	imported map[KID]*imported
}

// newText says that the key in a slot gets other attributes.
type newText struct{ slot, text uint32 }

// refresh starts a refresh. Until install or abort, only the caller of refresh can change the Table.
func (t *Table) refresh() *refresh {
	r := &refresh{t: t, first: !t.state().has, shared: map[subject]LimitSet{}}
	if t.slots != nil {
		r.seen, r.kept = make([]uint64, (t.slots.High()+63)/64), make([]uint64, (t.slots.High()+63)/64)
	}
	return r
}

// Add adds the next key. It returns ErrPublished for some duplicates; install finds the rest.
func (r *refresh) Add(key Key) error {
	r.print.Toggle(&key.kid)
	if r.first { // Lookup finds nothing yet
		r.t.mu.Lock()
		defer r.t.mu.Unlock()
		if !r.t.add(&key) {
			return ErrPublished
		}
		return nil
	}
	number, _, found := r.t.pages.find(&key.kid)
	if !found {
		r.extra.add(&key)
		return nil
	}
	if !mark(r.seen, number) {
		return ErrPublished
	}
	return nil
}

// mark sets a bit and reports whether it was not set before.
func mark(bits []uint64, number uint32) bool {
	word, bit := &bits[number/64], uint64(1)<<(number%64)
	was := *word&bit != 0
	*word |= bit
	return !was
}

func marked(bits []uint64, number uint32) bool { return bits[number/64]&(1<<(number%64)) != 0 }

// Set sets the attributes of a key that was added. It returns ErrNotPublished for a key that was not, and
// ErrAttributes for attributes that are invalid or come twice.
func (r *refresh) Set(k KeyAttributes) error {
	c, err := k.compact()
	if err != nil {
		return err
	}
	number, _, found := r.t.pages.find(&k.KID)
	if !found {
		extra := r.extra.find(&k.KID)
		if extra == nil {
			return fmt.Errorf("attributes: %w", ErrNotPublished)
		}
		err = r.once(extra.text == 0, func() { extra.text = r.t.store(c.text) })
	} else if r.first {
		err = r.once(r.t.slots.At(number).Text == 0, func() { r.t.setText(number, r.t.store(c.text)) })
	} else {
		err = r.change(number, c.text)
	}
	if err == nil {
		r.unsigned.Toggle((*KID)(&c.print))
	}
	return err
}

func (r *refresh) once(isFirst bool, store func()) error {
	if !isFirst {
		return fmt.Errorf("%w: a key has them twice", ErrAttributes)
	}
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	store()
	return nil
}

// change notes the attributes of a key that is in the Table.
func (r *refresh) change(number uint32, text []byte) error {
	if !marked(r.seen, number) {
		return fmt.Errorf("attributes: %w", ErrNotPublished)
	}
	if len(text) == 0 {
		return nil // like a key that is not set
	}
	return r.once(mark(r.kept, number), func() {
		if string(text) != string(r.t.textOf(number)) {
			r.texts = append(r.texts, newText{number, r.t.store(text)})
		}
	})
}

// Share adds a set of limits. A set without rules is ignored, and so is a second one with the same subject.
func (r *refresh) Share(set LimitSet) {
	if _, has := r.shared[set.subject()]; has || len(set.Limits) == 0 {
		return
	}
	r.shared[set.subject()] = set
	print := set.Print()
	r.unsigned.Toggle((*KID)(&print))
}

// Settle sets the settings.
func (r *refresh) Settle(settings Settings) {
	for _, s := range []*Settings{r.settings, &settings} {
		if s != nil {
			print := s.Print()
			r.unsigned.Toggle((*KID)(&print))
		}
	}
	r.settings = &settings
}

// differs reports whether the new set differs from what is in the Table.
func (r *refresh) differs() bool {
	if len(r.extra.list) > 0 || len(r.texts) > 0 || r.sharesDiffer() || r.settingsDiffer() || r.importsDiffer() {
		return true
	}
	for number := range r.seenEnd() {
		if r.gone(number) || r.bare(number) {
			return true
		}
	}
	return false
}

func (r *refresh) sharesDiffer() bool {
	now := r.t.shared.all()
	for i := range now {
		if !slices.Equal(r.shared[now[i].subject()].Limits, now[i].Limits) {
			return true
		}
	}
	return len(now) != len(r.shared)
}

func (r *refresh) settingsDiffer() bool {
	now := r.t.settings.Load()
	if now == nil || r.settings == nil {
		return now != r.settings
	}
	return !now.Equal(r.settings)
}

func (r *refresh) seenEnd() uint32 {
	if r.seen == nil { // a set without keys has no slots either
		return 0
	}
	return uint32(min(len(r.seen)*64, int(r.t.slots.High())))
}

func (r *refresh) gone(number uint32) bool {
	return !marked(r.seen, number) && r.t.slots.At(number).Used()
}

// bare reports whether the key in a slot has attributes but has none in the new set.
func (r *refresh) bare(number uint32) bool {
	return !marked(r.kept, number) && r.t.slots.At(number).Text != 0
}

// abort discards the new set. The Table is unchanged.
func (r *refresh) abort() {
	if r.first {
		r.t.clear()
		return
	}
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	for _, n := range r.texts {
		r.t.dropText(n.text)
	}
	for _, e := range r.extra.list {
		r.t.dropText(e.text)
	}
	r.texts, r.extra = nil, extras{}
}
