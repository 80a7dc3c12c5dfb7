package mint

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/burnkey/burnkey/authz/turns"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

func TestMint(t *testing.T) {
	// The payload must be signed byte for byte: not sorted, escaped or compacted.
	const payload = ` { "z":1, "a" : "é<&>\u00e9\/", "n":1.50e1 } `
	m := newMinter(t, Options{})
	kids := make(map[jwks.KID]bool)
	for _, typ := range []jwks.TokenType{jwks.TypeJWT, jwks.TypeAccessToken} {
		minted, err := m.Mint(t.Context(), Asker{Workspace: "acme"}, func() (Claims, error) { return Claims{typ, []byte(payload)}, nil })
		if err != nil {
			t.Fatal(err)
		}
		if kids[minted.Key.KID()] {
			t.Error("two mintings, one key")
		}
		kids[minted.Key.KID()] = true
		testToken(t, minted, typ, payload)
	}
	if metrics := testutil.CollectAndCount(m.metrics.duration); metrics != 1 || m.typical.Load() <= 0 {
		t.Error("the duration was not noted")
	}
}

func testToken(t *testing.T, minted Minted, typ jwks.TokenType, payload string) {
	t.Helper()
	parts := strings.Split(minted.Token.Reveal(), ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts", len(parts))
	}
	header, body, sig := decode(t, parts[0]), decode(t, parts[1]), decode(t, parts[2])
	kid := minted.Key.KID().String()
	if want := `{"alg":"RS256","kid":"` + kid + `","typ":"` + string(typ) + `"}`; string(header) != want {
		t.Errorf("header %s, want %s", header, want)
	}
	if string(body) != payload {
		t.Errorf("payload %q, want %q", body, payload)
	}
	public := minted.Key.PublicKey()
	if public.N.BitLen() != 2048 || public.E != 65537 {
		t.Errorf("a key of %d bits with e = %d", public.N.BitLen(), public.E)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], sig); err != nil {
		t.Error("crypto/rsa:", err)
	}
	testJWX(t, minted, kid, payload)
}

// testJWX verifies a token with a library that shares no code with our parser and thumbprints.
func testJWX(t *testing.T, minted Minted, kid, payload string) {
	t.Helper()
	key, err := jwk.ParseKey([]byte(mustJSON(t, minted.Key)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := jws.Verify([]byte(minted.Token.Reveal()), jws.WithKey(jwa.RS256, key)); err != nil || string(got) != payload {
		t.Errorf("jwx: %v, payload %q", err, got)
	}
	thumb, err := key.Thumbprint(crypto.SHA256)
	if err != nil || base64.RawURLEncoding.EncodeToString(thumb) != kid {
		t.Errorf("kid %s is not jwx's thumbprint %x, %v", kid, thumb, err)
	}
}

func decode(t *testing.T, part string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMintTombstone(t *testing.T) {
	minted, err := newMinter(t, Options{}).Mint(t.Context(), Asker{Workspace: "acme"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if minted.Token != "" || minted.Key == (jwks.Key{}) {
		t.Errorf("token of %d bytes, key %s", len(minted.Token), minted.Key.KID())
	}
}

func TestMintErrors(t *testing.T) {
	refused := errors.New("refused")
	for _, test := range []struct {
		name, binary string
		claims       func() (Claims, error)
		want         error
	}{
		{"claims fail", "", func() (Claims, error) { return Claims{}, refused }, refused},
		{"empty claims make no tombstone", "", says(""), ErrFailed},
		{"claims too long for a token", "", says(strings.Repeat(" ", 64<<10)), ErrFailed},
		{"no binary", t.TempDir() + "/none", nil, ErrFailed},
		{"answers without end", role(t, "flood"), nil, ErrFailed},
		{"crashes and tells", role(t, "crash"), nil, ErrFailed},
		{"exits without an answer", role(t, "mute"), nil, ErrFailed},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMinter(t, Options{Workers: 1})
			if test.binary != "" {
				m.binary = test.binary
			}
			minted, err := m.Mint(t.Context(), Asker{Workspace: "acme"}, test.claims)
			if !errors.Is(err, test.want) || minted != (Minted{}) {
				t.Fatalf("got %v, %v, want %v", minted, err, test.want)
			}
			if strings.Contains(err.Error(), "kty") || strings.Contains(err.Error(), "c2VjcmV0") {
				t.Errorf("the error lets a secret out: %v", err)
			}
			idle(t, m.queue)
		})
	}
}

// A panic in the caller's claims function must not block a worker.
func TestMintSurvivesAPanicOfClaims(t *testing.T) {
	m := newMinter(t, Options{Workers: 1})
	func() {
		defer func() { _ = recover() }()
		_, _ = m.Mint(t.Context(), Asker{Workspace: "acme"}, func() (Claims, error) { panic("of the caller's") })
	}()
	idle(t, m.queue)
}

func TestRetryAfter(t *testing.T) {
	m := newMinter(t, Options{Workers: 2})
	for _, test := range []struct {
		waiting int
		typical time.Duration
		want    time.Duration
	}{
		{0, time.Minute, time.Second},
		{1, time.Nanosecond, time.Second},
		{5, 100 * time.Millisecond, time.Second},
		{256, 100 * time.Millisecond, 13 * time.Second},
		{4, 5 * time.Second, 10 * time.Second},
	} {
		m.typical.Store(int64(test.typical))
		if got := m.retryAfter(test.waiting); got != test.want {
			t.Errorf("%d waiting, %s each: %s, want %s", test.waiting, test.typical, got, test.want)
		}
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := newMinter(t, Options{Workers: 1, Queue: 1, Metrics: registry})
	expect := func(running, queued, busy, cancelled, failed string) {
		t.Helper()
		const help = "# HELP burnkey_mint_failures_total Keys not made, by reason: busy (the queue was full), cancelled (the client " +
			"left or lost its rights), failed.\n# TYPE burnkey_mint_failures_total counter\n" +
			"burnkey_mint_failures_total{reason=\"busy\"} BUSY\nburnkey_mint_failures_total{reason=\"cancelled\"} CANCELLED\n" +
			"burnkey_mint_failures_total{reason=\"failed\"} FAILED\n" +
			"# HELP burnkey_mint_queue_length Requests for a key that wait for a minting process now.\n" +
			"# TYPE burnkey_mint_queue_length gauge\nburnkey_mint_queue_length QUEUED\n" +
			"# HELP burnkey_mint_running Minting processes that run now.\n# TYPE burnkey_mint_running gauge\nburnkey_mint_running RUNNING\n"
		want := strings.NewReplacer("BUSY", busy, "CANCELLED", cancelled, "FAILED", failed, "QUEUED", queued, "RUNNING", running).Replace(help)
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want),
			"burnkey_mint_failures_total", "burnkey_mint_queue_length", "burnkey_mint_running"); err != nil {
			t.Error(err)
		}
	}
	expect("0", "0", "0", "0", "0") // every series is there before anything happened

	m.binary = role(t, "hang")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	results := make(chan error, 2)
	mint := func() { _, err := m.Mint(ctx, Asker{Workspace: "acme"}, nil); results <- err }
	go mint()
	testkit.Eventually(t, "the first runs", func() bool { return testutil.ToFloat64(m.metrics.running) == 1 })
	go mint()
	testkit.Eventually(t, "the second waits", func() bool { return m.queue.Waiting() == 1 })
	if _, err := m.Mint(ctx, Asker{Workspace: "acme"}, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("the third: %v, want ErrBusy", err)
	}
	expect("1", "1", "1", "0", "0")
	cancel()
	for range 2 {
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
	m.binary = role(t, "mute")
	if _, err := m.Mint(t.Context(), Asker{Workspace: "acme"}, nil); !errors.Is(err, ErrFailed) {
		t.Errorf("got %v, want ErrFailed", err)
	}
	expect("0", "0", "1", "2", "1")
	if n := testutil.CollectAndCount(m.metrics.wait); n != 1 {
		t.Errorf("%d series of the wait", n)
	}
}

// idle checks that the worker is free and no request waits.
func idle(t *testing.T, q *turns.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := q.Acquire(ctx, Asker{}); err != nil || q.Waiting() != 0 {
		t.Errorf("the worker is not free: %v; %d wait", err, q.Waiting())
		return
	}
	q.Release()
}
