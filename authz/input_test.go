package authz_test

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

// object returns a JSON object of a given size in bytes.
func object(size int) []byte {
	return fmt.Appendf(nil, `{"a":"%s"}`, strings.Repeat("x", size-len(`{"a":""}`)))
}

// numbered returns n different words.
func numbered(n int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprint("s", i)
	}
	return words
}

func seconds(n int64) *int64 { return &n }

type issueCase struct {
	name   string
	set    func(*authz.IssueRequest)
	faulty string // the fields at fault, in order; none where the request is good
}

// texts are cases for a text field.
func texts(field string, set func(*authz.IssueRequest, string)) []issueCase {
	var cases []issueCase
	for _, text := range []struct {
		name, value string
		good        bool
	}{
		{"at its limit", strings.Repeat("x", 255), true},
		{"at its limit in characters, not bytes", strings.Repeat("é", 255), true},
		{"one over", strings.Repeat("é", 256), false},
		{"long", strings.Repeat("x", 10<<10), false},
		{"of marks and letters of many scripts", `a "b" \ <c> é 漢 🙂`, true},
		{"with NUL", "a\x00b", false},
		{"with a line end", "a\nb", false},
		{"with a tab", "a\tb", false},
		{"with DEL", "a\x7f", false},
		{"with NEL", "a\u0085", false},
		{"with a C1 control", "\u009b31m", false},
		{"with a line separator", "a\u2028b", false},
		{"with a paragraph separator", "a\u2029", false},
		{"not UTF-8", "a\xffb", false},
		{"half a character", "\xe6\xbc", false},
		{"that goes from right to left", "שלום مفتاح", true},
		{"with joiners", "\u0644\u200c\u0627 \U0001f469\u200d\U0001f4bb", field != "owner"},
		{"with variation selectors", "\u2764\ufe0f \u845b\U000e0100", field != "owner"},
		{"with an override", "a\u202egnp.exe", false},
		{"with an embedding", "\u202ba", false},
		{"with an isolate", "a\u2067b\u2069", false},
		{"with a mark of direction", "a\u200fb", false},
		{"with an Arabic letter mark", "a\u061cb", false},
		{"with a zero-width space", "ad\u200bmin", false},
		{"with a word joiner", "ad\u2060min", false},
		{"with a byte order mark", "\ufeffadmin", false},
		{"with a soft hyphen", "ad\u00admin", false},
		{"of a filler", "\u3164", false},
		{"of Braille without dots", "\u2800", false},
		{"with a musical beam", "ad\U0001d173min", false},
		{"with a shorthand overlap", "ad\U0001bca0min", false},
		{"with an annotation", "ad\ufff9min", false},
		{"with a seen mark of format", "\u0600\u0661", true},
		{"with tags", "a\U000e0061\U000e007f", false},
	} {
		c := issueCase{name: field + " " + text.name, set: func(r *authz.IssueRequest) { set(r, text.value) }}
		if !text.good {
			c.faulty = field
		}
		cases = append(cases, c)
	}
	return cases
}

func scopes(name, fault string, values ...string) issueCase {
	return issueCase{"scopes: " + name, func(r *authz.IssueRequest) { r.Scopes = values }, fault}
}

func claims(name, fault, value string) issueCase {
	return issueCase{"claims: " + name, func(r *authz.IssueRequest) { r.Claims = []byte(value) }, fault}
}

func issueCases() []issueCase {
	type request = authz.IssueRequest
	cases := slices.Concat(
		texts("owner", func(r *request, v string) { r.Owner = v }),
		texts("name", func(r *request, v string) { r.Name = v }),
		[]issueCase{
			{"nothing but the owner", func(*request) {}, ""},
			{"owner empty", func(r *request) { r.Owner = "" }, "owner"},

			scopes("any scope-token", "", "maps:read", "!", "#[]^~", "https://x/y?z"),
			scopes("with a space", "scopes", "maps read"),
			scopes("with a quote", "scopes", `maps"`),
			scopes("with a backslash", "scopes", `maps\`),
			scopes("not ASCII", "scopes", "kärte"),
			scopes("with DEL", "scopes", "a\x7f"),
			scopes("with a control character", "scopes", "a\nb"),
			scopes("empty", "scopes", ""),
			scopes("twice", "scopes", "a", "b", "a"),
			scopes("in two cases", "", "a", "A"),
			scopes("longest", "", strings.Repeat("s", 128)),
			scopes("too long", "scopes", strings.Repeat("s", 129)),
			scopes("most", "", numbered(64)...),
			scopes("too many", "scopes", numbered(65)...),

			{"owner with a space within", func(r *request) { r.Owner = "a b" }, ""},
			{"owner with a space before", func(r *request) { r.Owner = " a" }, "owner"},
			{"owner with a trailing space", func(r *request) { r.Owner = "a " }, "owner"},
			{"owner of a space", func(r *request) { r.Owner = " " }, "owner"},
			{"audience of the workspace's", func(r *request) { r.Audience = []string{"batch"} }, ""},
			{"audience in any order", func(r *request) { r.Audience = []string{"batch", "web"} }, ""},
			{"audience of another", func(r *request) { r.Audience = []string{"web", "admin"} }, "audience"},
			{"audience in another case", func(r *request) { r.Audience = []string{"Web"} }, "audience"},
			{"audience twice", func(r *request) { r.Audience = []string{"web", "web"} }, "audience"},
			{"audience empty", func(r *request) { r.Audience = []string{""} }, "audience audience"},

			{"expires_in least", func(r *request) { r.ExpiresIn = seconds(1) }, ""},
			{"expires_in most", func(r *request) { r.ExpiresIn = seconds(authz.MaxExpiresIn) }, ""},
			{"expires_in 0", func(r *request) { r.ExpiresIn = seconds(0) }, "expires_in"},
			{"expires_in -1", func(r *request) { r.ExpiresIn = seconds(-1) }, "expires_in"},
			{"expires_in one over", func(r *request) { r.ExpiresIn = seconds(authz.MaxExpiresIn + 1) }, "expires_in"},
			{"expires_in that overflows", func(r *request) { r.ExpiresIn = seconds(math.MaxInt64) }, "expires_in"},
			{"never_expires where it is forbidden", func(r *request) { r.NeverExpires = true }, "never_expires"},
			{"never_expires with expires_in", func(r *request) { r.NeverExpires, r.ExpiresIn = true, seconds(1) }, "expires_in"},

			claims("empty", "", "{}"),
			claims("of all kinds", "", `{"a":null,"b":[1,{"c":true}],"":1.5e3,"é":"\u0000"}`),
			claims("at the limit", "", string(object(4<<10))),
			claims("at the limit without white space", "", "  "+strings.Replace(string(object(4<<10)), ":", " :\n\t", 1)),
			claims("one over", "claims", string(object(4<<10+1))),
			claims("nested to the limit", "", strings.Repeat(`{"a":`, 31)+"{}"+strings.Repeat("}", 31)),
			claims("nested deeper", "claims", strings.Repeat(`{"a":`, 32)+"{}"+strings.Repeat("}", 32)),
			claims("lists nested deeper", "claims", `{"a":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)+"}"),
			claims("a list", "claims", "[]"),
			claims("a text", "claims", `"a"`),
			claims("null", "claims", "null"),
			claims("two objects", "claims", "{}{}"),
			claims("cut short", "claims", `{"a":`),
			claims("with a comment", "claims", `{/**/}`),
			claims("white space alone", "claims", " "),
			claims("a member twice", "claims", `{"a":1,"a":1}`),
			claims("a member twice, deep down", "claims", `{"a":[{"b":{"c":1,"c":2}}]}`),
			claims("a member twice, once escaped", "claims", `{"a":1,"\u0061":2}`),
			claims("not UTF-8", "claims", "{\"a\":\"\xff\"}"),
			claims("half a surrogate pair", "claims", `{"a":"\ud800"}`),
			claims("a reserved name, escaped", "claims.sub", `{"\u0073ub":"x"}`),
			claims("a reserved name deep down is free", "", `{"a":{"iss":"x","exp":1}}`),
			// Many JSON libraries ignore the case of names and would read these as registered claims.
			claims("a reserved name in capitals", "claims.SUB", `{"SUB":"x"}`),
			claims("a reserved name in mixed case", "claims.Scope", `{"Scope":"admin"}`),
			claims("a reserved name with a long s", "claims.i\u017f\u017f", `{"iſſ":"x"}`),

			{"metadata at the limit", func(r *request) { r.Metadata = object(16 << 10) }, ""},
			{"metadata nested to the limit", func(r *request) { r.Metadata = nested(32) }, ""},
			{"metadata nested deeper", func(r *request) { r.Metadata = nested(33) }, "metadata"},
			{"metadata one over", func(r *request) { r.Metadata = object(16<<10 + 1) }, "metadata"},
			{"metadata a list", func(r *request) { r.Metadata = []byte("[]") }, "metadata"},
			{"metadata with a member twice", func(r *request) { r.Metadata = []byte(`{"a":{"b":1,"b":1}}`) }, "metadata"},
			{"metadata with a reserved name", func(r *request) { r.Metadata = []byte(`{"iss":1}`) }, ""},

			{"idempotency key longest", func(r *request) { r.IdempotencyKey = strings.Repeat("k", 255) }, ""},
			{"idempotency key too long", func(r *request) { r.IdempotencyKey = strings.Repeat("k", 256) }, "Idempotency-Key"},
			{"idempotency key with a control character", func(r *request) { r.IdempotencyKey = "a\tb" }, "Idempotency-Key"},
			{"idempotency key not ASCII", func(r *request) { r.IdempotencyKey = "é" }, "Idempotency-Key"},

			{"all at once", func(r *request) {
				*r = request{
					Name: "\x00", Scopes: []string{""}, Audience: []string{"x"}, ExpiresIn: seconds(0),
					Claims: []byte(`{"jti":1}`), Metadata: []byte("1"), IdempotencyKey: "\n",
				}
			}, "owner name scopes Idempotency-Key claims.jti metadata audience expires_in"},
			{"too much together", func(r *request) {
				r.Owner, r.Claims = strings.Repeat("🙂", 255), object(4<<10)
				for i := range 64 {
					r.Scopes = append(r.Scopes, fmt.Sprintf("%0128d", i))
				}
			}, "claims"},
		})
	for _, name := range strings.Fields("iss sub aud exp nbf iat jti scope client_id key_id key_kid key_imported act") {
		cases = append(cases, claims(name, "claims."+name, `{"`+name+`":"x"}`))
	}
	return cases
}

func TestIssueInput(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	s.minter.blank = true
	for _, test := range issueCases() {
		t.Run(test.name, func(t *testing.T) {
			request := authz.IssueRequest{Owner: "cust_1"}
			test.set(&request)
			mintings, version := s.minter.mintings(), s.version("acme")
			_, err := s.Issue(t.Context(), "acme", request)
			expectFaults(t, err, test.faulty)
			if test.faulty == "" {
				return
			}
			if s.minter.mintings() != mintings || s.version("acme") != version || s.store.Called("Issue") != int(version)-1 {
				t.Error("something was done")
			}
		})
	}
}

// expectFaults compares the fields that an error names.
func expectFaults(t *testing.T, err error, want string) {
	t.Helper()
	var bad authz.InputError
	if err != nil && !errors.As(err, &bad) {
		t.Fatalf("got %v, want an InputError", err)
	}
	var fields []string
	for _, f := range bad {
		fields = append(fields, f.Field)
		if detail := f.Detail(); f.Code == "" || detail == "" || len(detail) > 100 || strings.ContainsAny(detail, "{}") {
			t.Errorf("%s: the code is %q, the detail %q", f.Field, f.Code, detail)
		}
	}
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("blames %q, want %q (%v)", got, want, err)
	}
}

// TestRules: the codes of rules are unique.
func TestRules(t *testing.T) {
	seen := make(map[string]bool)
	for _, r := range authz.Rules() {
		if !regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]+)*$`).MatchString(r.Code) || r.Text == "" || seen[r.Code] {
			t.Errorf("%+v: the code is malformed or taken, or the text is missing", r)
		}
		seen[r.Code] = true
	}
	if len(seen) == 0 {
		t.Error("no rules")
	}
}

func TestWorkspaceInput(t *testing.T) {
	s := newServer(t)
	type request = authz.WorkspaceRequest
	for _, test := range []struct {
		name   string
		r      request
		faulty string
	}{
		{"shortest id", request{ID: "a"}, ""},
		{"longest id", request{ID: strings.Repeat("9", 63)}, ""},
		{"hyphens", request{ID: "a--"}, ""},
		{"empty id", request{}, "id"},
		{"id too long", request{ID: strings.Repeat("a", 64)}, "id"},
		{"id beginning with a hyphen", request{ID: "-a"}, "id"},
		{"id in capitals", request{ID: "Acme"}, "id"},
		{"id with a path", request{ID: "a/../b"}, "id"},
		{"id with a line end", request{ID: "acme\n"}, "id"},
		{"id with a dot", request{ID: "a.b"}, "id"},
		{"most audiences", request{ID: "most", Audiences: numbered(16)}, ""},
		{"too many audiences", request{ID: "many", Audiences: numbered(17)}, "audiences"},
		{"an audience twice", request{ID: "twice", Audiences: []string{"a", "a"}}, "audiences"},
		{"an empty audience", request{ID: "void", Audiences: []string{""}}, "audiences"},
		{"all at once", request{ID: "-", Name: "\n", Audiences: []string{"\x00"}}, "id name audiences"},
	} {
		t.Run(test.name, func(t *testing.T) {
			mintings := s.minter.mintings()
			w, err := s.CreateWorkspace(t.Context(), test.r)
			expectFaults(t, err, test.faulty)
			if test.faulty != "" && s.minter.mintings() != mintings {
				t.Error("a tombstone was made")
			}
			if test.faulty == "" && (w.Name != test.r.ID || len(w.Audiences) == 0 || s.set(w.ID).Len() != 1 || w.Version != 1) {
				t.Errorf("made %+v with %d keys", w, s.set(w.ID).Len())
			}
		})
	}
	if _, err := s.CreateWorkspace(t.Context(), request{ID: "a"}); !errors.Is(err, authz.ErrExists) {
		t.Errorf("again: %v, want ErrExists", err)
	}
}

func TestUpdateInput(t *testing.T) {
	s := newServer(t)
	s.workspace("acme")
	issued := s.issue("acme", authz.IssueRequest{Name: "old", Metadata: []byte(`{"a":1}`)})
	ctx, line, none := t.Context(), "a\nb", []string{}
	_, err := s.UpdateKey(ctx, "acme", issued.ID, authz.KeyPatch{Name: &line, Metadata: []byte("[]")})
	expectFaults(t, err, "name metadata")
	empty := ""
	_, err = s.UpdateWorkspace(ctx, "acme", func(set *store.Workspace) error { set.Name = empty; set.Audiences = none; return nil })
	expectFaults(t, err, "name audiences")
	_, _, err = s.Keys(ctx, "acme", store.Filter{Status: "gone", Limit: 1})
	expectFaults(t, err, "status")

	s.clock.Advance(1e9)
	k, err := s.UpdateKey(ctx, "acme", issued.ID, authz.KeyPatch{Name: &empty, Metadata: []byte(` { "b" : 2 } `)})
	if err != nil || k.Name != "" || string(k.Metadata) != `{"a":1,"b":2}` || !k.UpdatedAt.Equal(s.Now()) || !k.CreatedAt.Before(k.UpdatedAt) {
		t.Errorf("updated to %+v, %v", k, err)
	}
	k, err = s.UpdateKey(ctx, "acme", issued.ID, authz.KeyPatch{})
	if err != nil || string(k.Metadata) != `{"a":1,"b":2}` {
		t.Errorf("an empty patch left %s, %v", k.Metadata, err)
	}
	forever := true
	w, err := s.UpdateWorkspace(ctx, "acme", func(set *store.Workspace) error { set.AllowNeverExpires = forever; return nil })
	if err != nil || !w.AllowNeverExpires || !slices.Equal(w.Audiences, []string{"web", "batch"}) {
		t.Errorf("updated to %+v, %v", w, err)
	}
	if _, err := s.UpdateKey(ctx, "other", issued.ID, authz.KeyPatch{}); !errors.Is(err, authz.ErrNotFound) {
		t.Errorf("in another workspace: %v, want ErrNotFound", err)
	}
}

// Values that are stored but break a newer rule can be read, listed and rotated, and do not prevent changes of
// other fields.
func TestNamesThatAreThereAlready(t *testing.T) {
	const disguised = "ad\u202emin"
	s := newServer(t)
	s.workspace("acme")
	_, err := s.store.UpdateWorkspace(t.Context(), "acme", func(w *store.Workspace) error {
		w.Name, w.Portal.DisplayName = disguised, disguised
		w.Policy.Scopes = []store.OfferedScope{{Name: "a", Description: disguised}}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	k := store.Key{
		Workspace: "acme", ID: uuid.Must(uuid.NewV7()), Owner: disguised, Name: disguised, CreatedAt: s.Now(),
		ExpiresAt: s.Now().Add(time.Hour),
	}
	if _, err := s.store.Issue(t.Context(), k, blankKey(), nil); err != nil {
		t.Fatal(err)
	}
	successor, err := s.Rotate(t.Context(), "acme", k.ID, authz.RotateRequest{})
	if err != nil || successor.Owner != disguised || successor.Name != disguised {
		t.Errorf("rotated to %+v, %v", successor.Key, err)
	}
	if keys, _, err := s.Keys(t.Context(), "acme", store.Filter{Owner: disguised, Limit: 10}); err != nil || len(keys) != 2 {
		t.Errorf("listed are %d, %v", len(keys), err)
	}
	audiences := []string{"web", "other"}
	w, err := s.UpdateWorkspace(t.Context(), "acme", func(set *store.Workspace) error { set.Audiences = audiences; return nil })
	if err != nil {
		t.Error("another field:", err)
	}
	w.Portal.Accent, w.Policy.KeysPerOwner = "#000000", 9
	if w, err = s.UpdateWorkspace(t.Context(), "acme", func(set *store.Workspace) error {
		set.Portal = w.Portal
		set.Policy = w.Policy
		return nil
	}); err != nil {
		t.Error("beside it:", err)
	}
	w.Portal.DisplayName += "!"
	w.Policy.Scopes = append(w.Policy.Scopes, store.OfferedScope{Name: "b", Description: disguised})
	_, err = s.UpdateWorkspace(t.Context(), "acme", func(set *store.Workspace) error {
		set.Portal = w.Portal
		set.Policy = w.Policy
		return nil
	})
	expectFaults(t, err, "portal.display_name policy.scopes")
	name := disguised + "!"
	_, err = s.UpdateWorkspace(t.Context(), "acme", func(set *store.Workspace) error { set.Name = name; return nil })
	expectFaults(t, err, "name")
	_, err = s.CreateWorkspace(t.Context(), authz.WorkspaceRequest{ID: "shop", Name: disguised})
	expectFaults(t, err, "name")
	_, err = s.UpdateKey(t.Context(), "acme", k.ID, authz.KeyPatch{Name: &name})
	expectFaults(t, err, "name")
	_, _, err = s.PortalLink(t.Context(), "acme", authz.LinkRequest{Owner: disguised})
	expectFaults(t, err, "owner")
}

// nested returns a JSON object of the given depth.
func nested(depth int) []byte {
	return []byte(`{"a":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`)
}
