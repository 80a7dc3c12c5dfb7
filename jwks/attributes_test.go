package jwks_test

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	. "github.com/burnkey/burnkey/jwks"
)

func TestUnsignedJSON(t *testing.T) {
	kid := TestKeys(t, 6, 1)[0].KID()
	for _, test := range []struct {
		unsigned Unsigned
		want     string
	}{
		{Unsigned{}, `{}`},
		{
			Unsigned{Set: []KeyAttributes{{KID: kid}}},
			`{"set":{"` + kid.String() + `":{}}}`,
		},
		{
			Unsigned{
				Set: []KeyAttributes{{kid, Attributes{
					ExpiresAt: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), Scopes: []string{}, Plan: "free",
					AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
					Limits:     []Limit{{Name: "burst", Requests: 10, Seconds: 60}},
				}}},
				Limits: []LimitSet{
					{OnPlan, "free", []Limit{{Name: "monthly", Requests: 1000, Calendar: Month}}}, {OnTotal, AnyName, nil},
				},
			},
			`{"set":{"` + kid.String() + `":{"expires_at":"2027-01-02T03:04:05Z","scopes":[],"allowed_ips":["192.0.2.0/24"],` +
				`"plan":"free","limits":[{"name":"burst","requests":10,"seconds":60}]}},` +
				`"limits":[{"on":"plan","name":"free","limits":[{"name":"monthly","requests":1000,"calendar":"month"}]},` +
				`{"on":"total","name":"*","limits":[]}]}`,
		},
		{
			Unsigned{Settings: &Settings{TokenPrefix: "a-", BareUntil: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)}},
			`{"settings":{"token_prefix":"a-","bare_until":"2027-01-02T03:04:05Z"}}`,
		},
		{Unsigned{Settings: &Settings{}}, `{"settings":{}}`},
	} {
		text, err := json.Marshal(test.unsigned)
		if err != nil || string(text) != test.want {
			t.Errorf("got %s, %v, want %s", text, err, test.want)
		}
		var read Unsigned
		if err := json.Unmarshal(text, &read); err != nil {
			t.Fatal(err)
		}
		if again, err := json.Marshal(read); err != nil || string(again) != test.want {
			t.Errorf("read again: %s, %v", again, err)
		}
	}
	for _, bad := range []string{
		`[]`, `{"set":{"x":{}}}`, `{"more":1}`, `{"set":{"` + kid.String() + `":{"new":1}}}`,
		`{"limits":[{"on":"plan","name":"a","limits":[{"name":"b","requests":0,"seconds":1}]}]}`,
		`{"limits":[{"on":"plan","name":"a","limits":[{"name":"b","requests":1}]}]}`,
		`{"limits":[{"on":"plan","name":"a","limits":[{"name":"b","requests":1,"seconds":1,"calendar":"day"}]}]}`,
		`{"limits":[{"on":"total","name":"a","limits":[]}]}`, `{"limits":[{"on":"all","name":"*","limits":[]}]}`,
		`{"set":{"` + kid.String() + `":{"allowed_ips":["1.2.3.4"]}}}`, `{"settings":{"token_prefix":"a"}}`, `{"settings":{"more":1}}`,
	} {
		var read Unsigned
		if err := json.Unmarshal([]byte(bad), &read); err == nil || !strings.Contains(err.Error(), ErrAttributes.Error()) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestAttributesAllow(t *testing.T) {
	networks := Attributes{
		AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
	}
	for from, want := range map[string]bool{
		"192.0.2.7": true, "::ffff:192.0.2.7": true, "2001:db8::1": true,
		"192.0.3.1": false, "::ffff:192.0.3.1": false, "::1": false,
	} {
		if got := networks.Allows(netip.MustParseAddr(from)); got != want {
			t.Errorf("%s: got %v", from, got)
		}
	}
	if networks.Allows(netip.Addr{}) {
		t.Error("an unknown address passes")
	}
	if !new(Attributes).Allows(netip.Addr{}) {
		t.Error("a key without networks is refused")
	}
}

func TestAttributesPrint(t *testing.T) {
	keys := TestKeys(t, 7, 2)
	prints := map[Fingerprint]bool{}
	for _, key := range keys {
		for _, a := range []Attributes{{Plan: "a"}, {Plan: "b"}, {NeverExpires: true}, {Scopes: []string{}}, {Scopes: []string{"a"}}} {
			prints[(&KeyAttributes{key.KID(), a}).Print()] = true
		}
	}
	if len(prints) != 10 {
		t.Errorf("%d different prints of 10 attributes", len(prints))
	}
	if (&KeyAttributes{KID: keys[0].KID()}).Print() != (Fingerprint{}) {
		t.Error("no attributes have a print")
	}
}
