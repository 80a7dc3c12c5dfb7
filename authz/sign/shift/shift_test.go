package shift

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"encoding/binary"
	"io"
	"math/big"
	"slices"
	"testing"
)

// A process signs with each of its keys, and answers each request by its id.
func TestServe(t *testing.T) {
	in, to := io.Pipe()
	from, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- serve(in, out) }()
	ask := func(requests ...Request) map[uint32][]byte {
		answers := make(map[uint32][]byte)
		go func() {
			for _, r := range requests {
				_, _ = to.Write(r.Append(nil))
			}
		}()
		for range requests {
			answer := make([]byte, AnswerLen)
			if _, err := io.ReadFull(from, answer); err != nil {
				t.Fatal(err)
			}
			answers[binary.BigEndian.Uint32(answer)] = answer[4:]
		}
		return answers
	}
	moduli := ask(Request{Op: Generate, ID: 7, Key: 0}, Request{Op: Generate, ID: 8, Key: MaxKeys - 1})
	var asked []Request
	for i := range 12 {
		asked = append(asked, Request{Op: Sign, ID: 100 + uint32(i), Key: uint16(i%2) * (MaxKeys - 1), Digest: [DigestLen]byte{byte(i)}})
	}
	for id, signature := range ask(asked...) {
		r := asked[id-100]
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(moduli[7+uint32(r.Key)/(MaxKeys-1)]), E: 65537}
		if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, r.Digest[:], signature); err != nil {
			t.Errorf("request %d by key %d: %v", id, r.Key, err)
		}
	}
	_ = to.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeRefuses(t *testing.T) {
	generate := Request{Op: Generate}
	for name, requests := range map[string][]byte{
		"nothing":         nil,
		"half a request":  generate.Append(nil)[:RequestLen-1],
		"an unknown key":  new(Request{Op: Sign}).Append(nil),
		"a large number":  new(Request{Op: Generate, Key: MaxKeys}).Append(nil),
		"no operation":    make([]byte, RequestLen),
		"a key twice":     slices.Concat(generate.Append(nil), generate.Append(nil)),
		"cut in a second": append(generate.Append(nil), 's'),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := serve(bytes.NewReader(requests), io.Discard); err == nil {
				t.Error("it is no error")
			}
		})
	}
}
