// Package shift is the signing process of the token exchange: it generates key pairs and signs digests with them until its
// standard input ends. Its private keys are in its memory only, which the kernel frees when it ends.
//
// A program that imports this package becomes a signing process if its only argument is Subcommand. That happens before most
// packages are initialised, so this package imports as little as possible.
package shift

import (
	"bufio"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/burnkey/burnkey/internal/hardened"
)

// Subcommand is the hidden argument that makes the binary a signing process.
const Subcommand = "sign-tokens"

// MaxKeys is the number of key pairs that a signing process can have.
const MaxKeys = 256

// Sizes in bytes.
const (
	ModulusLen = 256 // big-endian; the exponent is 65537
	DigestLen  = 32  // SHA-256
	RequestLen = 1 + 4 + 2 + DigestLen
	AnswerLen  = 4 + ModulusLen // of a signature, or a modulus
)

// Operations of a Request.
const (
	Generate = 'g' // makes the key pair number Key, and answers with its modulus
	Sign     = 's' // answers with the RS256 signature of the digest by the key pair number Key
)

// Request is a request of the parent process. Its answer begins with its ID. Answers can come in another order.
type Request struct {
	Op     byte
	ID     uint32
	Key    uint16
	Digest [DigestLen]byte
}

// Append appends the request as it is sent.
func (r *Request) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(append(b, r.Op), r.ID)
	return append(binary.BigEndian.AppendUint16(b, r.Key), r.Digest[:]...)
}

func (r *Request) read(b *[RequestLen]byte) {
	r.Op, r.ID, r.Key = b[0], binary.BigEndian.Uint32(b[1:]), binary.BigEndian.Uint16(b[5:])
	copy(r.Digest[:], b[7:])
}

func init() {
	if len(os.Args) == 2 && os.Args[1] == Subcommand {
		os.Exit(run())
	}
}

// run is the main function of a signing process. It does not report why it failed: a message could contain a secret.
func run() int {
	if err := hardened.Harden(); err != nil {
		return hardened.StatusUnhardened
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		return hardened.StatusRefused
	}
	return 0
}

// server has the key pairs of a signing process.
type server struct {
	out  io.Writer
	keys [MaxKeys]atomic.Pointer[rsa.PrivateKey]
	mu   sync.Mutex // of out and err
	err  error
}

var errRefused = errors.New("the request is invalid")

// serve answers requests until `in` ends. Each CPU signs, and key pairs are generated meanwhile, one at a time. After an
// invalid request, it stops.
func serve(in io.Reader, out io.Writer) error {
	s := &server{out: out}
	err := s.work(in)
	return cmp.Or(err, s.failure())
}

// work reads requests, and returns when all are answered.
func (s *server) work(in io.Reader) error {
	signing, generating := make(chan Request), make(chan Request, MaxKeys)
	var work sync.WaitGroup
	defer func() {
		close(signing)
		close(generating)
		work.Wait()
	}()
	work.Go(func() { s.each(generating, s.generate) })
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() { s.each(signing, s.sign) })
	}
	var frame [RequestLen]byte
	var r Request
	buffered := bufio.NewReaderSize(in, 64*RequestLen)
	for n := 0; ; n++ {
		if _, err := io.ReadFull(buffered, frame[:]); err == io.EOF && n > 0 {
			return nil
		} else if err != nil {
			return err
		}
		r.read(&frame)
		switch {
		case s.failure() != nil:
			return s.failure()
		case r.Op == Generate && r.Key < MaxKeys:
			generating <- r
		case r.Op == Sign && r.Key < MaxKeys && s.keys[r.Key].Load() != nil:
			signing <- r
		default:
			return errRefused
		}
	}
}

func (s *server) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *server) each(requests <-chan Request, answer func(Request) ([]byte, error)) {
	for r := range requests {
		var (
			content []byte
			err     error
		)
		hardened.Secretly(func() { content, err = answer(r) })
		s.mu.Lock()
		if s.err == nil && err == nil {
			_, err = s.out.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, AnswerLen), r.ID), content...))
		}
		if s.err == nil {
			s.err = err
		}
		s.mu.Unlock()
	}
}

func (s *server) generate(r Request) ([]byte, error) {
	private, err := rsa.GenerateKey(rand.Reader, 8*ModulusLen)
	if err != nil {
		return nil, err
	}
	if !s.keys[r.Key].CompareAndSwap(nil, private) {
		return nil, errRefused
	}
	return private.N.FillBytes(make([]byte, ModulusLen)), nil
}

func (s *server) sign(r Request) ([]byte, error) {
	return rsa.SignPKCS1v15(nil, s.keys[r.Key].Load(), crypto.SHA256, r.Digest[:])
}
