package jwks

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// attributed returns a Verifier whose Table has ownPair's key with attributes, and its Table.
func attributed(tb testing.TB, a Attributes) (*Verifier, *Table) {
	tb.Helper()
	v, table := tableVerifier(tb)
	setAttributes(tb, table, ownPair().key.kid, a)
	return v, table
}

func setAttributes(tb testing.TB, table *Table, kid KID, a Attributes) {
	tb.Helper()
	c := Change{Version: table.Version() + 1, Unsigned: Unsigned{Set: []KeyAttributes{{kid, a}}}}
	if err := table.Apply(c); err != nil {
		tb.Fatal(err)
	}
}

// The attributes of a key replace what its token says, also for a token that was verified before.
func TestVerifyByAttributes(t *testing.T) {
	issued, expiry := time.Unix(testIssued, 0), time.Unix(testExpiry, 0)
	never := reword(t, testPayload, `,"exp":1700003600`, "")
	for name, test := range map[string]struct {
		payload    string
		attributes Attributes
		now        time.Time
		want       error
		expiry     int64
		scope      string
	}{
		"none":                     {testPayload, Attributes{}, issued, nil, testExpiry, "maps:read maps:write"},
		"a plan":                   {testPayload, Attributes{Plan: "free"}, issued, nil, testExpiry, "maps:read maps:write"},
		"a plan after exp":         {testPayload, Attributes{Plan: "free"}, expiry, ErrExpired, 0, ""},
		"before a later time":      {testPayload, Attributes{ExpiresAt: expiry.Add(time.Hour)}, expiry, nil, testExpiry + 3600, "maps:read maps:write"},
		"at the later time":        {testPayload, Attributes{ExpiresAt: expiry.Add(time.Hour)}, expiry.Add(time.Hour), ErrExpired, 0, ""},
		"after an earlier time":    {testPayload, Attributes{ExpiresAt: issued.Add(-1)}, issued, ErrExpired, 0, ""},
		"before a fraction":        {testPayload, Attributes{ExpiresAt: issued.Add(2)}, issued.Add(1), nil, testIssued, "maps:read maps:write"},
		"at a fraction":            {testPayload, Attributes{ExpiresAt: issued.Add(2)}, issued.Add(2), ErrExpired, 0, ""},
		"before 1970":              {testPayload, Attributes{ExpiresAt: time.Unix(0, 5)}, issued, ErrExpired, 0, ""},
		"an expiry without exp":    {never, Attributes{ExpiresAt: issued}, issued, ErrExpired, 0, ""},
		"never":                    {testPayload, Attributes{NeverExpires: true}, expiry.AddDate(99, 0, 0), nil, 0, "maps:read maps:write"},
		"never, and yet an expiry": {testPayload, Attributes{NeverExpires: true, ExpiresAt: issued}, issued, ErrExpired, 0, ""},
		"in its grace":             {never, Attributes{EndsAt: issued.Add(1)}, issued, nil, 0, "maps:read maps:write"},
		"after its grace":          {never, Attributes{EndsAt: issued}, issued, ErrExpired, 0, ""},
		"a grace that ends first":  {testPayload, Attributes{ExpiresAt: expiry, EndsAt: issued}, issued, ErrExpired, 0, ""},
		"fewer scopes":             {testPayload, Attributes{Scopes: []string{"maps:read"}}, issued, nil, testExpiry, "maps:read"},
		"no scopes":                {testPayload, Attributes{Scopes: []string{}}, issued, nil, testExpiry, ""},
		"other scopes":             {testPayload, Attributes{Scopes: []string{"a", "b"}}, issued, nil, testExpiry, "a b"},
	} {
		v, _ := attributed(t, test.attributes)
		v.Now = func() time.Time { return test.now }
		for range 2 {
			claims, err := v.Verify(ownPair().token(test.payload))
			if !errors.Is(err, test.want) {
				t.Fatalf("%s: %v", name, err)
			}
			if err != nil {
				continue
			}
			a := test.attributes.inUTC()
			if claims.Expiry != test.expiry || claims.Scope != test.scope || !reflect.DeepEqual(claims.Attributes, a) {
				t.Errorf("%s: %+v", name, claims)
			}
		}
	}
}

func TestAttributesAllocateOnce(t *testing.T) {
	client := netip.MustParseAddr("192.0.2.9")
	for want, a := range map[float64]Attributes{1: {}, 2: typical} {
		v, _ := attributed(t, a)
		token, claims := ownPair().token(testPayload), new(Claims)
		err := v.VerifyFromInto(token, client, claims)
		got := testing.AllocsPerRun(100, func() { err = errors.Join(err, v.VerifyFromInto(token, client, claims)) })
		if got > want || err != nil {
			t.Errorf("%v allocations, want %v, %v", got, want, err)
		}
	}
}

// The next token that is verified into the same claims has none of the attributes of the last.
func TestVerifyIntoForgetsAttributes(t *testing.T) {
	v, table := attributed(t, typical)
	var claims Claims
	for _, a := range []Attributes{{}, {NeverExpires: true}, {}, {Scopes: []string{"a"}}, {}} {
		setAttributes(t, table, ownPair().key.kid, a)
		if err := v.VerifyInto(ownPair().token(testPayload), &claims); err != nil || !reflect.DeepEqual(claims.Attributes, a) {
			t.Errorf("%+v, %v, want %+v", claims.Attributes, err, a)
		}
	}
}

func TestVerifyFrom(t *testing.T) {
	v, table := attributed(t, Attributes{AllowedIPs: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"),
	}})
	token := ownPair().token(testPayload)
	for text, want := range map[string]error{
		"192.0.2.1": nil, "::ffff:192.0.2.1": nil, "2001:db8::1": nil, "2001:db8::1%eth0": nil,
		"192.0.3.1": ErrAddress, "::ffff:192.0.3.1": ErrAddress, "2001:db9::1": ErrAddress, "::": ErrAddress,
		"::192.0.2.1": ErrAddress, "": ErrAddress,
	} {
		from, _ := netip.ParseAddr(text)
		for range 2 {
			claims, err := v.VerifyFrom(token, from)
			if !errors.Is(err, want) || (claims != nil) != (err == nil) {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
	if _, err := v.Verify(token); !errors.Is(err, ErrAddress) {
		t.Errorf("without an address: %v", err)
	}
	if claims, err := v.Authentic(token); err != nil || len(claims.Attributes.AllowedIPs) != 2 {
		t.Errorf("the holder can not revoke it: %v", err)
	}
	setAttributes(t, table, ownPair().key.kid, Attributes{})
	if _, err := v.Verify(token); err != nil {
		t.Errorf("when it may be used from anywhere: %v", err)
	}
}

func TestClaimsHideAttributes(t *testing.T) {
	v, _ := attributed(t, Attributes{Plan: "secret"})
	claims, err := v.Verify(ownPair().token(testPayload))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := json.Marshal(claims); err != nil || strings.Contains(string(text), "secret") {
		t.Errorf("%s, %v", text, err)
	}
}

// A change of attributes costs no RSA, and a suspended key that returns is verified again.
func TestAttributesKeepTheMark(t *testing.T) {
	v, table := tableVerifier(t)
	token := ownPair().token(testPayload)
	if _, err := v.Verify(token); err != nil {
		t.Fatal(err)
	}
	setAttributes(t, table, ownPair().key.kid, Attributes{Plan: "gold"})
	spoil(t, table, ownPair().key.kid)
	if claims, err := v.Verify(token); err != nil || claims.Attributes.Plan != "gold" {
		t.Errorf("%+v, %v", claims, err)
	}
}

func TestMiddlewareAddress(t *testing.T) {
	_, table := attributed(t, Attributes{AllowedIPs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	for name, test := range map[string]struct {
		remote string
		header string
		addr   func(*http.Request) netip.Addr
		status int
	}{
		"allowed":          {"192.0.2.9:1234", "", nil, 200},
		"mapped":           {"[::ffff:192.0.2.9]:1234", "", nil, 200},
		"elsewhere":        {"192.0.3.9:1234", "", nil, 403},
		"spoofed":          {"192.0.3.9:1234", "192.0.2.9", nil, 403},
		"a Unix socket":    {"@", "", nil, 403},
		"of a proxy":       {"192.0.3.9:1234", "", func(*http.Request) netip.Addr { return netip.MustParseAddr("192.0.2.9") }, 200},
		"unknown by proxy": {"192.0.2.9:1234", "", func(*http.Request) netip.Addr { return netip.Addr{} }, 403},
	} {
		m := testMiddleware()
		m.Verifier.Keys, m.ClientAddr = table, test.addr
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = test.remote
		r.Header.Set("Authorization", "Bearer "+ownPair().token(scopedPayload))
		if test.header != "" {
			r.Header.Set("X-Forwarded-For", test.header)
		}
		w := httptest.NewRecorder()
		m.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s: %d", name, w.Code)
		}
		if w.Code == 403 {
			wantProblem(t, name, w)
			if got := w.Header().Get("WWW-Authenticate"); got != `Bearer realm="maps"` {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}

// Scopes that were taken from a key count at once, and scopes that it got.
func TestMiddlewareScopesOfAttributes(t *testing.T) {
	_, table := tableVerifier(t)
	m := testMiddleware()
	m.Verifier.Keys = table
	for _, test := range []struct {
		scopes []string
		status int
	}{{nil, 200}, {[]string{"other"}, 403}, {[]string{}, 403}, {[]string{"a", "maps:read"}, 200}} {
		setAttributes(t, table, ownPair().key.kid, Attributes{Scopes: test.scopes})
		if w, _ := pass(m.Require("maps:read"), http.MethodGet, "Bearer "+ownPair().token(scopedPayload)); w.Code != test.status {
			t.Errorf("%v: %d", test.scopes, w.Code)
		}
	}
}
