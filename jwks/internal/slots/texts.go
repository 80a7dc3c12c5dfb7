package slots

import (
	"encoding/binary"
	"sort"
)

// Texts store byte strings in slots of a few sizes. A text's number is never 0. The zero value is empty.
type Texts struct {
	classes [classes]class
}

const (
	classes     = 16
	numberBits  = 32 - 4 // of a text's number; the others are the class
	maxInClass  = 1<<numberBits - 1
	largestSlot = 64 << 10
	// MaxText is the maximum length of a text.
	MaxText = largestSlot - binary.MaxVarintLen16
)

// A class is Slots of one size.
type class interface {
	Take() uint32
	Drop(number uint32)
	High() uint32
	Free() int
	Close()
	bytes(number uint32) []byte
}

// sizes are those of the slots, in bytes. They are close where most attributes are, so that little is wasted.
var sizes = [classes]int{
	16, 32, 48, 64, 96, 128, 192, 256, 512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, largestSlot,
}

var newClass = [classes]func() class{
	of[[16]byte], of[[32]byte], of[[48]byte], of[[64]byte], of[[96]byte], of[[128]byte], of[[192]byte], of[[256]byte], of[[512]byte],
	of[[1 << 10]byte], of[[2 << 10]byte], of[[4 << 10]byte], of[[8 << 10]byte], of[[16 << 10]byte], of[[32 << 10]byte],
	of[[largestSlot]byte],
}

func of[T any]() class { return new(Slots[T]) }

// Put stores a text of at most MaxText bytes and returns its number.
func (t *Texts) Put(text []byte) uint32 {
	var head [binary.MaxVarintLen16]byte
	length := binary.PutUvarint(head[:], uint64(len(text)))
	which := sort.SearchInts(sizes[:], length+len(text))
	if t.classes[which] == nil {
		t.classes[which] = newClass[which]()
	}
	number := t.classes[which].Take()
	slot := t.classes[which].bytes(number)
	copy(slot, head[:length])
	copy(slot[length:], text)
	return uint32(which)<<numberBits | (number + 1)
}

// At returns a text, which is valid until it is dropped. Number 0 is the empty text.
func (t *Texts) At(number uint32) []byte {
	if number == 0 {
		return nil
	}
	slot := t.classes[number>>numberBits].bytes(number&maxInClass - 1)
	length, n := binary.Uvarint(slot)
	return slot[n : n+int(length)]
}

// Drop frees a text's slot. Number 0 is ignored.
func (t *Texts) Drop(number uint32) {
	if number != 0 {
		t.classes[number>>numberBits].Drop(number&maxInClass - 1)
	}
}

// Len returns the number of texts.
func (t *Texts) Len() (count int) {
	for _, c := range t.classes {
		if c != nil {
			count += int(c.High()) - c.Free()
		}
	}
	return count
}

// Close frees the memory. A text must not be used afterwards.
func (t *Texts) Close() {
	for _, c := range t.classes {
		if c != nil {
			c.Close()
		}
	}
	*t = Texts{}
}
