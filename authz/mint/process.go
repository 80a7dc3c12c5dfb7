// Package mint makes API keys: a key pair is generated, signs one token and is
// lost, all inside a minting process, a child of the same binary that lives for
// nothing else. What comes back is the token and the public half.
//
// A process and not a function, because Go cannot wipe memory: crypto/rsa keeps
// copies of the primes that zeroing a big.Int does not reach. The kernel takes
// a process's memory away whole.
package mint

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/burnkey/burnkey/jwks"
)

// Subcommand is the hidden argument that makes the binary a minting process.
const Subcommand = "mint-one-key"

// What crosses the pipes, each way once.
type (
	request struct {
		// Payload to sign, byte for byte; without one, the key is a tombstone.
		Payload []byte `json:"payload,omitempty"`
	}
	response struct {
		Key   jwks.Key `json:"key"`
		Token string   `json:"token,omitempty"`
	}
)

// maxMessage bounds what is read from either pipe, in bytes.
const maxMessage = 64 << 10

// IsProcess reports whether the arguments (os.Args) ask for a minting process.
// A main function, or TestMain, must ask before it does anything else.
func IsProcess(args []string) bool { return len(args) == 2 && args[1] == Subcommand }

// Process is the whole life of a minting process: it reads one request on
// standard input, writes the answer to standard output and returns the exit
// status. It says nothing else anywhere: a message could carry a secret.
func Process() int {
	// Some of what harden does holds for this thread alone: no other must make the key.
	runtime.LockOSThread()
	// Short and small: collecting garbage would only spread copies.
	debug.SetGCPercent(-1)
	if err := harden(); err != nil {
		return statusUnhardened
	}
	if err := process(os.Stdin, os.Stdout); err != nil {
		return statusRefused
	}
	return 0
}

// Exit statuses of a minting process.
const (
	statusUnhardened = 3 // it could not shut itself off, so it made nothing
	statusRefused    = 4 // the request was none, or making the key failed
)

func process(in io.Reader, out io.Writer) error {
	var req request
	if err := json.NewDecoder(io.LimitReader(in, maxMessage)).Decode(&req); err != nil {
		return fmt.Errorf("read the request: %w", err)
	}
	var (
		resp response
		err  error
	)
	secretly(func() { resp, err = burn(req.Payload) })
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(resp)
}

// burn generates a key pair, signs the payload, if there is one, and keeps only
// what is public.
func burn(payload []byte) (response, error) {
	private, err := rsa.GenerateKey(rand.Reader, jwks.ModulusBits)
	if err != nil {
		return response{}, errors.New("generating the key pair failed")
	}
	key, err := jwks.FromPublicKey(&private.PublicKey)
	if err != nil {
		return response{}, err
	}
	if len(payload) == 0 {
		return response{Key: key}, nil
	}
	head := jws.NewHeaders()
	for name, value := range map[string]string{jws.KeyIDKey: key.KID().String(), jws.TypeKey: "JWT"} {
		if err := head.Set(name, value); err != nil {
			return response{}, err
		}
	}
	token, err := jws.Sign(payload, jws.WithKey(jwa.RS256, private, jws.WithProtectedHeaders(head)))
	if err != nil {
		return response{}, errors.New("signing the token failed")
	}
	return response{Key: key, Token: string(token)}, nil
}
