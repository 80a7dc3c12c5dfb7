package limits

import (
	"crypto/rand"
	"encoding/binary"

	"github.com/dchest/siphash"

	"github.com/burnkey/burnkey/jwks"
)

// A hashKey keys the hashes of rules and subjects. It is random: a chosen name cannot share the count of another.
type hashKey [2]uint64

func newHashKey() hashKey {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return readHashKey(random[:])
}

func readHashKey(b []byte) hashKey {
	return hashKey{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
}

func (k hashKey) append(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, k[0]), k[1])
}

// addressBit of an id says whether the rule is one on addresses, of which a client can have any number. It is neither a
// bit of the shard nor one of the place in the shard.
const addressBit = 1 << 57

func isOfAddress(id uint64) bool { return id&addressBit != 0 }

// id returns the hash by which a rule is counted; it is not 0. See Counter.Take for what identifies a rule.
func (k hashKey) id(r *Rule) uint64 {
	var buf [384]byte // enough for an owner's name in ASCII
	b := append(buf[:0], r.On...)
	b = appendText(b, r.Workspace)
	b = appendText(b, r.Name)
	if r.Address.IsValid() {
		address := r.Address.As16()
		b = append(b, address[:]...)
	}
	b = appendText(b, r.Limit.Name)
	if r.Limit.Calendar != "" {
		b = append(b, r.Limit.Calendar...)
	} else {
		b = binary.LittleEndian.AppendUint32(b, r.Limit.Requests)
		b = binary.LittleEndian.AppendUint32(b, r.Limit.Seconds)
	}
	id := siphash.Hash(k[0], k[1], b) &^ addressBit
	if r.On == jwks.OnAddress {
		id |= addressBit
	}
	return max(1, id)
}

// appendText appends a text after its length, so that no two lists of texts look the same.
func appendText(b []byte, text string) []byte {
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(text))), text...)
}
