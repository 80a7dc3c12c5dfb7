package jwks

import (
	"runtime"

	"github.com/burnkey/burnkey/jwks/internal/slots"
)

// compactAttributes are attributes that are ready to be stored.
type compactAttributes struct {
	text  []byte
	print Fingerprint
}

func (k *KeyAttributes) compact() (compactAttributes, error) {
	text, err := k.Attributes.appendBinary(nil)
	if err != nil {
		return compactAttributes{}, err
	}
	return compactAttributes{text, k.Print()}, nil
}

func compactAll(set []KeyAttributes) ([]compactAttributes, error) {
	all := make([]compactAttributes, len(set))
	for i := range set {
		var err error
		if all[i], err = set[i].compact(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// togglePrint adds the print of attributes in their compact form to the feed's fingerprint, or removes it.
func (t *Table) togglePrint(kid *KID, attributes string) {
	k := KeyAttributes{KID: *kid}
	k.Attributes.readBinary(attributes)
	print := k.Print()
	t.unsigned.Toggle((*KID)(&print))
}

// The callers of store and setText must hold the lock, unless no other goroutine has the Table yet.

// store stores attributes in their compact form and returns their number, or 0 for no attributes.
func (t *Table) store(text []byte) uint32 {
	if len(text) == 0 {
		return 0
	}
	if t.texts == nil {
		t.texts = new(slots.Texts)
		runtime.AddCleanup(t, (*slots.Texts).Close, t.texts)
	}
	return t.texts.Put(text)
}

// textOf returns the attributes of the key in a slot. They are valid until the lock is released.
func (t *Table) textOf(number uint32) []byte {
	if text := t.slots.At(number).Text; text != 0 {
		return t.texts.At(text)
	}
	return nil
}

// setText replaces the attributes of the key in a slot. text is their number, from store.
func (t *Table) setText(number, text uint32) {
	s := t.slots.At(number)
	if s.Text == text {
		return
	}
	for _, reading := range t.reading {
		reading.changed(number)
	}
	t.dropText(s.Text)
	s.Text = text
}

// dropText frees attributes that no slot has any longer.
func (t *Table) dropText(text uint32) {
	if text != 0 {
		t.texts.Drop(text)
	}
}
