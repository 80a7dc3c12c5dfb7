package mint

import (
	"context"
	"crypto/rsa"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/authz/mint/burn"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// TestMain makes the test binary act as another process if it is started under the name of a role. Minting
// processes exit before TestMain.
func TestMain(m *testing.M) {
	if play, ok := roles[filepath.Base(os.Args[0])]; ok {
		play()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// privateJWK is a pattern of data that a minting process must not send.
const privateJWK = `{"kty":"RSA","d":"c2VjcmV0","p":"cHJpbWU"}`

var roles = map[string]func(){
	"idle": func() { _, _ = io.Copy(io.Discard, os.Stdin) },
	"hang": hang,
	"mute": func() { _, _ = os.Stdin.Read(make([]byte, 1)) },
	"flood": func() {
		for chunk := make([]byte, 4096); ; {
			if _, err := os.Stdout.Write(chunk); err != nil {
				os.Exit(1)
			}
		}
	},
	"crash": func() {
		fmt.Print(privateJWK)
		panic(privateJWK)
	},
	// This role is a server whose minting process hangs.
	"server": func() {
		m, err := New(Options{})
		if err != nil {
			panic(err)
		}
		m.binary = os.Args[1]
		_, err = m.Mint(context.Background(), Asker{Workspace: "acme"}, nil)
		panic(err)
	},
}

// ofRole is the file name extension of the scripts that role makes.
const ofRole = ".sh"

func hang() { <-time.After(time.Hour) }

// role returns a script that runs the test binary in a role. It drops the argument Subcommand, since with this
// argument the binary would act as a minting process.
func role(t *testing.T, name string) string {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	actor := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(binary, actor); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != %s ] || shift\nexec '%s' \"$@\"\n", burn.Subcommand, actor)
	if err := os.WriteFile(actor+ofRole, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return actor + ofRole
}

func newMinter(t *testing.T, o Options) *Minter {
	t.Helper()
	m, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// says returns claims for Mint.
func says(payload string) func() (Claims, error) {
	return func() (Claims, error) { return Claims{Payload: []byte(payload)}, nil }
}

// pair is a key pair of the tests. A real key pair never leaves package burn.
type pair struct {
	private *rsa.PrivateKey
	key     jwks.Key
}

var pairs = sync.OnceValue(func() (two [2]pair) {
	for i := range two {
		private := testkit.PrivateKey()
		key, err := jwks.FromPublicKey(&private.PublicKey)
		if err != nil {
			panic(err)
		}
		two[i] = pair{private, key}
	}
	return two
})

// token signs a payload, with the header that tokens must have.
func (p pair) token(payload string) string {
	return p.sign(testkit.Header(p.key.KID().String()), payload)
}

func (p pair) sign(header, payload string) string { return testkit.Sign(p.private, header, payload) }
