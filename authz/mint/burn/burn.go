// Package burn is the minting process: it generates one key pair, signs one digest
// with it and ends, and its memory with it.
//
// A program becomes one where its only argument is Subcommand, while its packages are
// being initialised and before most of them are: a key takes some 60 ms, and setting up
// what a server needs would add 5. So this package imports next to nothing, and leaves
// all of JOSE to its parent. Whatever imports it has a minting process within.
package burn

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/debug"
)

// Subcommand is the hidden argument that makes the binary a minting process.
const Subcommand = "mint-one-key"

// What a parent asks for, in one byte on standard input.
const (
	// Sign asks for a modulus, and then, by a SHA-256 digest, for the RS256 signature.
	Sign = 's'
	// Tombstone asks for a modulus alone: its key never signs.
	Tombstone = 't'
)

// Sizes in bytes of what crosses the pipes.
const (
	ModulusLen   = 256 // big-endian; the exponent is 65537
	SignatureLen = ModulusLen
)

// Exit statuses of a minting process.
const (
	StatusUnhardened = 3 // it could not shut itself off, so it made nothing
	StatusRefused    = 4 // the request was none, or making the key failed
)

func init() {
	if len(os.Args) == 2 && os.Args[1] == Subcommand {
		os.Exit(run())
	}
}

// run is the whole life of a minting process. It says nothing but what was asked for,
// not even why it failed: a message could carry a secret.
func run() int {
	// Some of what harden does holds for this thread alone: no other must make the key.
	runtime.LockOSThread()
	// Short and small: collecting garbage would only spread copies.
	debug.SetGCPercent(-1)
	if err := harden(); err != nil {
		return StatusUnhardened
	}
	if err := converse(os.Stdin, os.Stdout); err != nil {
		return StatusRefused
	}
	return 0
}

func converse(in io.Reader, out io.Writer) error {
	var request [1]byte
	if _, err := io.ReadFull(in, request[:]); err != nil {
		return err
	}
	if request[0] != Sign && request[0] != Tombstone {
		return errors.New("no such request")
	}
	var err error
	secretly(func() { err = burn(in, out, request[0] == Sign) })
	return err
}

// burn generates a key pair, lets its modulus out, and its signature where one is wanted.
func burn(in io.Reader, out io.Writer, sign bool) error {
	private, err := rsa.GenerateKey(rand.Reader, 8*ModulusLen)
	if err != nil {
		return err
	}
	if _, err := out.Write(private.N.FillBytes(make([]byte, ModulusLen))); err != nil || !sign {
		return err
	}
	var digest [sha256.Size]byte
	if _, err := io.ReadFull(in, digest[:]); err != nil {
		return err
	}
	signature, err := rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
	if err != nil {
		return err
	}
	_, err = out.Write(signature)
	return err
}
