package e2e_test

import (
	"crypto/rand"
	"encoding/binary"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/burnkey/burnkey/gateway/gatewaytest"
	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/jwks"
)

// TestE2EGatewayMemory measures the memory of a gateway a key, without attributes and with attributes that no other key
// has.
func TestE2EGatewayMemory(t *testing.T) {
	t.Parallel()
	n := scale(t, "BURNKEY_E2E_MEMORY_KEYS", 5_000, 2_000)
	key := gatewaytest.Own().Token(gatewaytest.Payload("burnkey")) // only its form matters
	file := filepath.Join(t.TempDir(), "gateway.key")
	check(t, os.WriteFile(file, []byte(key), 0o600))
	memory := func(attributes bool) (bytes float64) {
		o := gatewaytest.NewOrigin(t)
		o.SetHook(func(_ http.ResponseWriter, r *http.Request) bool {
			r.Header.Set("Authorization", "Bearer "+gatewaytest.ManagementKey)
			return false
		})
		o.CreateWith("acme", manyKeys(t, n, attributes))
		gate := newAsked(t, o.URL, "--workspace", "acme", "--key-file", file, "--usage-every", "0", "--public-url", gatewaytest.PublicURL)
		gate.start()
		start := time.Now()
		testkit.Within(t, 10*time.Minute, "the gateway is ready", gate.isReady)
		if have := int(gate.number(t, "burnkey_gateway_keys")); have != n+1 {
			t.Fatalf("the gateway has %d keys", have)
		}
		ready := time.Since(start)
		// Memory that only reading the keys needed goes back to the system within seconds.
		least := gate.number(t, "process_resident_memory_bytes")
		for range scale(t, "BURNKEY_E2E_MEMORY_SECONDS", 1, 1) {
			second := time.NewTimer(time.Second)
			<-second.C
			least = min(least, gate.number(t, "process_resident_memory_bytes"))
		}
		bytes = least
		t.Logf("%d keys, with attributes: %v: %.0f bytes each, ready after %s", n, attributes, bytes/float64(n), ready.Round(time.Second))
		gate.stop()
		o.Stop()
		return bytes
	}
	without := memory(false)
	with := memory(true)
	t.Logf("attributes take %.0f bytes a key", (with-without)/float64(n))
	if n >= 1_000_000 && (without > 395*float64(n) || with-without > 64*float64(n)) {
		t.Error("a key takes more than 395 bytes, or its attributes more than 64")
	}
}

// manyKeys returns a change that adds keys with random moduli, for which no token exists.
func manyKeys(t *testing.T, n int, attributes bool) (c jwks.Change) {
	t.Helper()
	var modulus [jwks.ModulusLen]byte
	for i := range n {
		_, _ = rand.Read(modulus[:]) // never fails
		modulus[0] |= 0x80
		modulus[jwks.ModulusLen-1] |= 1
		key, err := jwks.FromModulus(modulus[:])
		check(t, err)
		c.Add = append(c.Add, key)
		if attributes {
			var from [4]byte
			binary.BigEndian.PutUint32(from[:], uint32(i))
			c.Unsigned.Set = append(c.Unsigned.Set, jwks.KeyAttributes{KID: key.KID(), Attributes: jwks.Attributes{
				ExpiresAt:  time.Now().Truncate(time.Second).Add(time.Duration(i+1) * time.Hour),
				AllowedIPs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4(from), 32)},
				Plan:       "gold", Limits: []jwks.Limit{{Name: "burst", Requests: uint32(i + 1), Seconds: 60}},
			}})
		}
	}
	return c
}
