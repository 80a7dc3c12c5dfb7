// Package burn is the minting process: it generates one key pair, signs one digest with it and exits.
//
// A program that imports this package becomes a minting process if its only argument is Subcommand. That
// happens before most packages are initialised: making a key takes about 60 ms, and initialising a server would
// add 5 ms. So this package imports as little as possible, and leaves JOSE to its parent process.
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

	"github.com/burnkey/burnkey/internal/hardened"
)

// Subcommand is the hidden argument that makes the binary a minting process.
const Subcommand = "mint-one-key"

// Requests of the parent process, one byte on standard input.
const (
	// Sign requests a modulus and then the RS256 signature of a SHA-256 digest.
	Sign = 's'
	// Tombstone requests only a modulus. The key signs nothing.
	Tombstone = 't'
)

// Sizes of the messages in the pipes, in bytes.
const (
	ModulusLen   = 256 // big-endian; the exponent is 65537
	SignatureLen = ModulusLen
)

func init() {
	if len(os.Args) == 2 && os.Args[1] == Subcommand {
		os.Exit(run())
	}
}

// run is the main function of a minting process. It does not report why it failed: a message could contain a secret.
func run() int {
	// Some effects of Harden and GiveWay are limited to this thread, so this thread must make the key.
	runtime.LockOSThread()
	// The process uses little memory for a short time, and a garbage collection could copy secrets.
	debug.SetGCPercent(-1)
	if err := hardened.Harden(); err != nil {
		return hardened.StatusUnhardened
	}
	GiveWay(0)
	if err := converse(os.Stdin, os.Stdout); err != nil {
		return hardened.StatusRefused
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
	hardened.Secretly(func() { err = burn(in, out, request[0] == Sign) })
	return err
}

// burn generates a key pair and sends its modulus and, if requested, a signature.
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
