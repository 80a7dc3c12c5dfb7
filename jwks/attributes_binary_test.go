package jwks

import (
	"errors"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// typical are attributes of its own that a key may have: an expiry, a plan, a network and a rule.
var typical = Attributes{
	ExpiresAt: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Plan: "free",
	AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	Limits:     []Limit{{Name: "burst", Requests: 100, Seconds: 60}},
}

func randomAttributes(random *rand.Rand) (a Attributes) {
	has := func() bool { return random.IntN(2) == 0 }
	if has() {
		a.ExpiresAt = time.Unix(random.Int64N(1<<34)-1<<33, 0).UTC()
		if has() {
			a.ExpiresAt = a.ExpiresAt.Add(time.Duration(random.IntN(1e9)))
		}
	}
	a.NeverExpires = has()
	for _, at := range []*time.Time{&a.RotatedAt, &a.EndsAt} {
		if has() {
			*at = time.Unix(random.Int64N(1<<34)-1<<33, random.Int64N(1e9)).UTC()
		}
	}
	if has() {
		a.Scopes = strings.Split("maps:read maps:write  x", " ")[:random.IntN(5)]
	}
	if has() {
		a.Plan = strings.Repeat("p", 1+random.IntN(200))
	}
	for range random.IntN(3) {
		var at [16]byte
		for i := range at {
			at[i] = byte(random.Uint32())
		}
		a.AllowedIPs = append(a.AllowedIPs,
			netip.PrefixFrom(netip.AddrFrom4([4]byte(at[:4])), random.IntN(33)),
			netip.PrefixFrom(netip.AddrFrom16(at), random.IntN(129)))
	}
	for range random.IntN(3) {
		a.Limits = append(a.Limits, Limit{"burst", 1 + random.Uint32N(math.MaxUint32), 1 + random.Uint32N(math.MaxUint32), ""},
			Limit{"ü", math.MaxUint32, 0, calendars[1+random.IntN(3)]})
	}
	return a
}

func TestAttributesInTheirCompactForm(t *testing.T) {
	random := newRand(1)
	var got Attributes // its arrays are reused
	for i := range 3000 {
		want := randomAttributes(random)
		if i == 0 {
			want = Attributes{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("::ffff:1.2.3.4/120")}}
		}
		text, err := want.appendBinary([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if got.readBinary(string(text[1:])); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v reads as %+v", want, got)
		}
		if want.IsZero() != (len(text) == 1) {
			t.Fatalf("%+v has %d bytes", want, len(text))
		}
	}
	if text, err := typical.appendBinary(nil); err != nil || len(text) > 63 {
		t.Errorf("attributes of a usual size have %d bytes, %v", len(text), err)
	}
}

func TestAttributesThatNoTableCanStore(t *testing.T) {
	for name, bad := range map[string]Attributes{
		"year":    {ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"10001":   {EndsAt: time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC)},
		"space":   {Scopes: []string{"a", "b c"}},
		"network": {AllowedIPs: []netip.Prefix{{}}},
		"limit":   {Limits: []Limit{{Name: "a", Requests: 1, Calendar: "year"}}},
		"longer":  {Plan: strings.Repeat("a", 1<<16)},
	} {
		if _, err := bad.appendBinary(nil); !errors.Is(err, ErrAttributes) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A feed's fingerprint does not depend on the time zone in which an expiry was written.
func TestAttributesPrintTheirTimeOnce(t *testing.T) {
	a := KeyAttributes{Attributes: typical}
	a.Attributes.RotatedAt, a.Attributes.EndsAt = a.Attributes.ExpiresAt.AddDate(0, 0, -2), a.Attributes.ExpiresAt.AddDate(0, 0, -1)
	b := a
	for _, at := range b.Attributes.times() {
		*at = at.In(time.FixedZone("", 7200))
	}
	if a.Print() != b.Print() {
		t.Error("two prints of one time")
	}
}
