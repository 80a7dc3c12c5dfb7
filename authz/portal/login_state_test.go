package portal_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal"
	"github.com/burnkey/burnkey/internal/outbound"
	"github.com/burnkey/burnkey/store"
)

// toProvider begins a login in a browser and returns the path of a successful callback.
func (b *browser) toProvider(query string) (back string) {
	b.t.Helper()
	p := b.get("/portal/acme/login" + query).want(http.StatusSeeOther)
	to, err := url.Parse(p.Header().Get("Location"))
	check(b.t, err)
	l := &login{to: to}
	return l.code()
}

func (b *browser) logins() (n int) {
	for name := range b.jar {
		if strings.HasPrefix(name, "__Host-burnkey_login.") {
			n++
		}
	}
	return n
}

// Two tabs can log in at the same time and return in either order. A callback that belongs to no login of
// this browser affects neither.
func TestTwoLoginsAtOnce(t *testing.T) {
	t.Parallel()
	provider := newBent(t)
	s := provider.site(nil)
	b, another := s.browser(), s.browser()
	first, second := b.toProvider(""), b.toProvider("")
	for _, state := range []string{"bogus", "", "a.b", "zzzzzz.AAAAAAAAAAAAAAAA", strings.Repeat("9", 40) + ".AAAAAAAA"} {
		p := b.get("/portal/acme/callback?code=x&state=" + state).want(http.StatusForbidden)
		if len(p.Result().Cookies()) > 0 {
			t.Errorf("%q: it sets %v", state, p.Result().Cookies())
		}
	}
	b.get(another.toProvider("")).want(http.StatusForbidden)
	b.get(strings.Replace(second, "state=", "state=x", 1)).want(http.StatusForbidden)
	if b.logins() != 2 {
		t.Fatalf("%d logins are under way", b.logins())
	}
	b.get(second).want(http.StatusSeeOther).leadsTo("/portal/acme/keys")
	session := b.jar["__Host-burnkey-acme"]
	b.get(first).want(http.StatusSeeOther).leadsTo("/portal/acme/keys")
	if b.jar["__Host-burnkey-acme"] != session || b.isOver(session) || b.logins() != 0 {
		t.Errorf("the pages of the first tab no longer work: %v", b.jar)
	}
	// A login as another person replaces the session of the person who was logged in.
	asBen := b.toProvider("?other")
	provider.claims["customer_id"] = "cust_2"
	b.get(asBen).want(http.StatusSeeOther)
	b.get("/portal/acme/keys").want(200).has("cust_2")
	if !b.isOver(session) {
		t.Error("the session before goes on")
	}
	for range 8 {
		s.advance(time.Second)
		b.toProvider("?other")
	}
	if b.logins() != 5 {
		t.Errorf("%d logins are under way", b.logins())
	}
}

// A state can be used once, across all servers, and only for ten minutes.
func TestAStateIsGoodOnce(t *testing.T) {
	t.Parallel()
	provider := newBent(t)
	s := provider.site(nil)
	b := s.browser()
	back := b.toProvider("")
	saved := map[string]string{}
	for name, value := range b.jar {
		saved[name] = value
	}
	again := func(what string) {
		t.Helper()
		thief := s.browser()
		for name, value := range saved {
			thief.jar[name] = value
		}
		for range 5 {
			thief.get(back).want(http.StatusForbidden).has("This login can’t be completed")
		}
		if provider.seen["/token"] != 1 {
			t.Errorf("%s: the provider was asked %d times", what, provider.seen["/token"])
		}
	}
	b.get(back).want(http.StatusSeeOther)
	b.get(back).want(http.StatusSeeOther).leadsTo("/portal/acme/keys") // a logged-in person continues
	again("here")
	client := outbound.New(outbound.Options{Local: true})
	t.Cleanup(client.CloseIdleConnections)
	var err error
	s.Handler, err = portal.New(portal.Options{
		Service: s.Service, PublicURL: localURL, Publisher: s.publisher, Providers: client,
		Log: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	again("on another server, or after a restart")

	late := s.browser()
	back = late.toProvider("")
	s.advance(10*time.Minute - time.Second)
	soon := late.toProvider("")
	s.advance(time.Second)
	late.get(back).want(http.StatusForbidden)
	late.get(soon).want(http.StatusSeeOther) // clocks differ, as between two servers
}

// Calls to the provider are limited per address. A refused login can continue later.
func TestExchangesAreBounded(t *testing.T) {
	t.Parallel()
	provider := newBent(t)
	s := provider.site(nil)
	b := s.browser()
	deferred := 0
	for range 60 {
		back := strings.Replace(b.toProvider(""), "code=", "code=x", 1)
		if p := b.get(back); p.Code == http.StatusTooManyRequests {
			deferred++
			p.has("Too many logins at once")
			if p.Header().Get("Retry-After") != "1" {
				t.Fatalf("Retry-After %q", p.Header().Get("Retry-After"))
			}
		}
	}
	if provider.seen["/token"] != 20 || deferred != 40 {
		t.Errorf("the provider was asked %d times, and %d were deferred", provider.seen["/token"], deferred)
	}
	if n := strings.Count(s.log.String(), "logins are deferred"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	c := s.browser()
	back := c.toProvider("")
	c.get(back).want(http.StatusTooManyRequests)
	s.advance(10 * time.Second)
	c.get(back).want(http.StatusSeeOther).leadsTo("/portal/acme/keys")
}

// A logged-in person who opens the login page or an old callback is redirected to the start page.
func TestALoginWithASessionInPlace(t *testing.T) {
	t.Parallel()
	s := newBent(t).site(nil)
	b := s.browser()
	b.open("acme", authz.LinkRequest{})
	session := b.jar["__Host-burnkey-acme"]
	for _, path := range []string{
		"/portal/acme/login", "/portal/acme/callback", "/portal/acme/callback?state=bogus&code=x",
		"/portal/acme/callback?error=access_denied&state=x",
	} {
		b.get(path).want(http.StatusSeeOther).leadsTo("/portal/acme/keys")
	}
	b.toProvider("?other")
	b.get("/portal/other/callback?state=bogus").want(http.StatusForbidden)
	staff := s.operator("acme")
	staff.get("/portal/acme/login").want(http.StatusSeeOther).leadsTo("/portal/acme/operator/overview")
	if b.isOver(session) {
		t.Error("the session is over")
	}
}

// Claims are found at any depth and with values of any type.
func TestClaims(t *testing.T) {
	t.Parallel()
	const roles = "https://acme.example/app.roles"
	for name, c := range map[string]struct {
		owner, operator, value string // settings
		claims                 string
		want                   string // the owner, "operator", or ! and the reason of a refusal
	}{
		"a path": {"org.id", "realm_access.roles", "operators", `{"realm_access":{"roles":["a","operators"]}}`, "operator"},
		"a path to an owner": {
			"org.id", "realm_access.roles", "operators",
			`{"org":{"id":"cust_7"},"realm_access":{"roles":["a"]}}`, "cust_7",
		},
		"dots in a name": {"org.id", roles, "operators", `{"https://acme.example/app.roles":["operators"]}`, "operator"},
		"dots in a member": {
			"org.id", "resource_access.my.app.roles", "operators",
			`{"resource_access":{"my.app":{"roles":["operators"]}}}`, "operator",
		},
		"the literal name is first": {"org.id", "", "", `{"org.id":"cust_1","org":{"id":"cust_2"}}`, "cust_1"},
		"and decides":               {"org.id", "", "", `{"org.id":null,"org":{"id":"cust_2"}}`, "!owner"},
		"a whole number":            {"org", "", "", `{"org":123456789012345678901234567890}`, "123456789012345678901234567890"},
		"2^53+1":                    {"org", "", "", `{"org":9007199254740993}`, "9007199254740993"},
		"less than nothing":         {"org", "", "", `{"org":-5}`, "-5"},
		"a fraction":                {"org", "", "", `{"org":1.0}`, "!owner"},
		"an exponent":               {"org", "", "", `{"org":1e3}`, "!owner"},
		"an owner that is true":     {"org", "", "", `{"org":true}`, "!owner"},
		"an object":                 {"org", "", "", `{"org":{"id":"x"}}`, "!owner"},
		"a list":                    {"org", "", "", `{"org":["x"]}`, "!owner"},
		"too long a number":         {"org", "", "", `{"org":1` + strings.Repeat("0", 300) + `}`, "!claims"},
		"true":                      {"org", "staff", "true", `{"staff":true}`, "operator"},
		"false":                     {"org", "staff", "true", `{"staff":false,"org":"x"}`, "x"},
		"a number":                  {"org", "level", "9007199254740993", `{"level":9007199254740993}`, "operator"},
		"nearly that number":        {"org", "level", "9007199254740993", `{"level":9007199254740992,"org":"x"}`, "x"},
		"a list of all kinds":       {"org", "a.b.c", "7", `{"a":{"b":{"c":[null,true,{},["7"],7]}}}`, "operator"},
		"a list in a list":          {"org", "a", "7", `{"a":[["7"]],"org":"x"}`, "x"},
		"nothing there":             {"org.id.x", "a.b", "7", `{"org":{"id":"x"},"a":"b"}`, "!owner"},
		"dots at the ends":          {".org.", "a..b", "7", `{".org.":"x","a":{"":{"b":"7"}}}`, "operator"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBent(t)
			b.claims = map[string]any{}
			var claims map[string]json.RawMessage
			check(t, json.Unmarshal([]byte(c.claims), &claims))
			for name, value := range claims {
				b.claims[name] = value
			}
			s := b.site(nil)
			s.update("acme", func(set *store.Workspace) {
				set.Portal = store.Portal{OIDC: &store.OIDC{
					Issuer: b.URL, ClientID: "burnkey", OwnerClaim: c.owner, OperatorClaim: c.operator, OperatorValue: c.value,
				}}
			})
			l := s.stranger().begin("acme")
			p := l.back(l.code())
			if reason, refused := strings.CutPrefix(c.want, "!"); refused {
				s.refused(p, http.StatusForbidden, reason)
				return
			}
			p.want(http.StatusSeeOther)
			got, err := l.session()
			if is := map[bool]string{true: "operator", false: got.Owner}[got.Role == store.RoleOperator]; err != nil || is != c.want {
				t.Errorf("it is %s, %v", is, err)
			}
		})
	}
}

// If the ID token lacks a nested claim, the claim is taken from UserInfo.
func TestNestedClaimsOfUserInfo(t *testing.T) {
	t.Parallel()
	b := newBent(t)
	b.claims = map[string]any{"org": map[string]any{"name": "Acme"}}
	b.info = map[string]any{"org": map[string]any{"id": json.Number("9007199254740993")}}
	s := b.site(nil)
	s.update("acme", func(set *store.Workspace) {
		set.Portal = store.Portal{OIDC: &store.OIDC{Issuer: b.URL, ClientID: "burnkey", OwnerClaim: "org.id"}}
	})
	l := s.stranger().begin("acme")
	l.back(l.code()).want(http.StatusSeeOther)
	if got, err := l.session(); err != nil || got.Owner != fmt.Sprint(9007199254740993) {
		t.Errorf("it is %+v, %v", got, err)
	}
}
