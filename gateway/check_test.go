package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/burnkey/burnkey/jwks"
)

// options follow o, for all its workspaces or those named.
func options(o *origin, workspaces ...string) Options {
	return Options{Server: o.URL, PublicURL: publicURL, Workspaces: workspaces, AnyAudience: true, Log: slog.New(slog.DiscardHandler)}
}

// start makes a Gateway and runs it until the returned function is called, or the
// test ends.
func start(tb testing.TB, o Options) (*Gateway, func()) {
	tb.Helper()
	g, err := New(o)
	check(tb, err)
	return g, run(tb, g)
}

func run(tb testing.TB, g *Gateway) func() {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	tb.Cleanup(stop)
	return stop
}

// follow runs a Gateway of acme and beta, of which own is a key of acme's and other
// of beta's, and waits until it knows them.
func follow(tb testing.TB, edit func(*Options)) (*Gateway, *origin) {
	tb.Helper()
	o := newOrigin(tb, "acme", "beta")
	o.publish("acme", own())
	o.publish("beta", other())
	with := options(o, "acme", "beta")
	if edit != nil {
		edit(&with)
	}
	g, _ := start(tb, with)
	eventually(tb, "the keys are known", func() bool { return g.Ready() == nil })
	return g, o
}

func request(method string, authorization ...string) *authv3.CheckRequest {
	headers := map[string]string{":authority": "api.example.com"}
	if len(authorization) > 0 {
		headers["authorization"] = strings.Join(authorization, ",") // as Envoy does
	}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Method: method, Host: "api.example.com", Path: "/v1/tiles?x=1", Headers: headers},
	}}}
}

func with(in *authv3.CheckRequest, extensions map[string]string) *authv3.CheckRequest {
	in.Attributes.ContextExtensions = extensions
	return in
}

// verdict is an answer, made easy to compare.
type verdict struct {
	status  int // 200 for one that passes
	headers http.Header
	removed []string
	body    string
	meta    map[string]any
}

func ask(tb testing.TB, g *Gateway, in *authv3.CheckRequest) verdict {
	tb.Helper()
	answer, err := g.Check(tb.Context(), in)
	check(tb, err)
	v := verdict{status: http.StatusOK, headers: http.Header{}, meta: answer.GetDynamicMetadata().AsMap()}
	options := answer.GetOkResponse().GetHeaders()
	v.removed = answer.GetOkResponse().GetHeadersToRemove()
	if denied := answer.GetDeniedResponse(); denied != nil {
		v.status, v.body, options = int(denied.GetStatus().GetCode()), denied.GetBody(), denied.GetHeaders()
	}
	if passes := answer.GetStatus().GetCode() == 0; passes != (v.status == http.StatusOK) || passes != (answer.GetOkResponse() != nil) {
		tb.Fatalf("the answer says both: %v", answer)
	}
	for _, option := range options {
		if option.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			tb.Errorf("%s is not overwritten", option.GetHeader().GetKey())
		}
		v.headers.Add(option.GetHeader().GetKey(), option.GetHeader().GetValue())
	}
	return v
}

func TestCheckRefuses(t *testing.T) {
	g, _ := follow(t, nil)
	good := own().token(payload("acme"))
	invalid := func(why string) string {
		return `Bearer realm="api", error="invalid_token", error_description="` + why + `"`
	}
	const plain = `Bearer realm="api"`
	const form = plain + `, error="invalid_request", error_description="The header Authorization must be sent once, as the word Bearer and a token."`
	issuer, unknown, malformed := invalid("The token is of another issuer."), invalid("The token was revoked, or is not of this issuer."), invalid("The token is malformed.")
	for _, test := range []struct {
		name      string
		headers   []string
		status    int
		challenge string
	}{
		{"none", nil, 401, plain},
		{"empty", []string{""}, 401, plain},
		{"Basic", []string{"Basic dTpw"}, 401, plain},
		{"twice", []string{"Bearer " + good, "Bearer " + good}, 400, form},
		{"two schemes", []string{"Bearer " + good, "Basic dTpw"}, 400, form},
		{"no token", []string{"Bearer "}, 400, form},
		{"opaque", []string{"Bearer abc"}, 401, malformed},
		{"too long", []string{"Bearer " + strings.Repeat("a", jwks.MaxTokenLen+1)}, 401, malformed},
		{"a workspace that is not ours", []string{"Bearer " + own().token(payload("gamma"))}, 401, issuer},
		{"a workspace by an id that begins alike", []string{"Bearer " + own().token(payload("acme2"))}, 401, issuer},
		{"a path behind the workspace", []string{"Bearer " + own().token(payload("acme/x"))}, 401, issuer},
		{"no workspace", []string{"Bearer " + own().token(payload(""))}, 401, issuer},
		{"another server", []string{"Bearer " + own().token(payload("acme", "auth.example", "auth.other"))}, 401, issuer},
		{"acme's key says beta", []string{"Bearer " + own().token(payload("beta"))}, 401, unknown},
		{"beta's key says acme", []string{"Bearer " + other().token(payload("acme"))}, 401, unknown},
		{"iss twice", []string{"Bearer " + own().token(payload("acme", `"sub"`, `"iss":"`+publicURL+issuerPath+`beta","sub"`))}, 401, malformed},
		{"rubbish behind an iss that is not the first", []string{"Bearer " + newPair().token(payload("acme", `{"iss"`, `{"a":"b","iss"`, `"iat":1`, `"iat":oops`))}, 401, unknown},
		{"an iss far behind", []string{"Bearer " + own().token(payload("acme", `{"iss"`, `{"a":"`+strings.Repeat("b", lookMax)+`","iss"`))}, 401, malformed},
		{"an iss behind an array", []string{"Bearer " + own().token(payload("acme", `{"iss"`, `{"a":[],"iss"`))}, 401, malformed},
		{"an iss that is no text", []string{"Bearer " + own().token(payload("acme", `{"iss":`, `{"iss":1,"x":`))}, 401, malformed},
		{"no object", []string{"Bearer " + own().token(`"iss"`)}, 401, malformed},
		{"no iss", []string{"Bearer " + own().token(`{}`)}, 401, malformed},
		{"iss escaped", []string{"Bearer " + own().token(payload(`\u0061cme`))}, 401, issuer},
		{"expired", []string{"Bearer " + own().token(payload("acme", `"iat":1`, `"iat":1,"exp":2`))}, 401, invalid("The token has expired.")},
		{"a line end in the owner", []string{"Bearer " + own().token(payload("acme", "cust_1", `a\r\nx-admin: 1`))}, 401, malformed},
		{"an owner that would come out as another's", []string{"Bearer " + own().token(payload("acme", "cust_1", "cust_1 "))}, 401, malformed},
		{"a control character in the scope", []string{"Bearer " + own().token(payload("acme", "maps:read", `a\u0000b`))}, 401, malformed},
	} {
		v := ask(t, g, request("GET", test.headers...))
		if v.status != test.status || v.headers.Get("WWW-Authenticate") != test.challenge {
			t.Errorf("%s: %d %s", test.name, v.status, v.headers.Get("WWW-Authenticate"))
		}
		wantProblem(t, test.name, v)
		if head := ask(t, g, request("HEAD", test.headers...)); head.body != "" || head.status != v.status || !maps.EqualFunc(head.headers, v.headers, slices.Equal) {
			t.Errorf("%s: HEAD: %d with %d bytes", test.name, head.status, len(head.body))
		}
	}
}

func wantProblem(t *testing.T, name string, v verdict) {
	t.Helper()
	var problem struct {
		Type, Title, Detail string
		Status              int
	}
	err := json.Unmarshal([]byte(v.body), &problem)
	if err != nil || problem.Status != v.status || problem.Title != http.StatusText(v.status) || problem.Type != "about:blank" || problem.Detail == "" {
		t.Errorf("%s: %s, %v", name, v.body, err)
	}
	if v.headers.Get("Content-Type") != "application/problem+json" || v.headers.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %v", name, v.headers)
	}
	if v.meta["refused"] == nil || v.meta["workspace"] != nil {
		t.Errorf("%s: metadata %v", name, v.meta)
	}
}

func TestCheckPasses(t *testing.T) {
	g, _ := follow(t, nil)
	for _, test := range []struct {
		name, token string
		want        map[string]string
		removed     string
	}{
		{
			"scopes", own().token(payload("acme")),
			map[string]string{"key_id": "key-1", "owner": "cust_1", "workspace": "acme", "scopes": "maps:read tiles:read"},
			"x-burnkey-issuer",
		},
		{
			"no scopes", other().token(payload("beta", `,"scope":"maps:read tiles:read"`, "")),
			map[string]string{"key_id": "key-1", "owner": "cust_1", "workspace": "beta"},
			"x-burnkey-issuer x-burnkey-scopes",
		},
		{
			"iss is not the first", own().token(payload("acme", `{"iss"`, `{"a":"b","iss"`)),
			map[string]string{"key_id": "key-1", "owner": "cust_1", "workspace": "acme", "scopes": "maps:read tiles:read"},
			"x-burnkey-issuer",
		},
		{
			"an owner in another script", own().token(payload("acme", "cust_1", "Ærøskøbing 北京")),
			map[string]string{"key_id": "key-1", "owner": "Ærøskøbing 北京", "workspace": "acme", "scopes": "maps:read tiles:read"},
			"x-burnkey-issuer",
		},
	} {
		v := ask(t, g, request("GET", "bearer  "+test.token))
		if v.status != 200 || strings.Join(v.removed, " ") != test.removed || len(v.meta) != len(test.want) || len(v.headers) != len(test.want) {
			t.Errorf("%s: %+v", test.name, v)
		}
		for name, want := range test.want {
			if header := v.headers.Get("x-burnkey-" + strings.ReplaceAll(name, "_", "-")); header != want || v.meta[name] != want {
				t.Errorf("%s: %s: %q and %q, want %q", test.name, name, header, v.meta[name], want)
			}
		}
	}
}

func TestCheckRawHeaders(t *testing.T) {
	g, _ := follow(t, nil)
	good := "Bearer " + own().token(payload("acme"))
	raw := func(values ...string) *authv3.CheckRequest {
		in := request("GET")
		in.Attributes.Request.Http.Headers = nil
		in.Attributes.Request.Http.HeaderMap = &corev3.HeaderMap{}
		for _, value := range values {
			in.Attributes.Request.Http.HeaderMap.Headers = append(in.Attributes.Request.Http.HeaderMap.Headers,
				&corev3.HeaderValue{Key: "Authorization", RawValue: []byte(value)})
		}
		return in
	}
	for want, in := range map[int]*authv3.CheckRequest{200: raw(good), 401: raw(), 400: raw(good, good)} {
		if v := ask(t, g, in); v.status != want {
			t.Errorf("%d, want %d", v.status, want)
		}
	}
	if v := ask(t, g, &authv3.CheckRequest{}); v.status != 401 {
		t.Errorf("no request in it: %d", v.status)
	}
}

func TestStripAuthorization(t *testing.T) {
	g, _ := follow(t, func(o *Options) { o.StripAuthorization = true })
	v := ask(t, g, request("GET", "Bearer "+own().token(payload("acme"))))
	if v.status != 200 || !slices.Contains(v.removed, "authorization") {
		t.Errorf("%+v", v)
	}
}

func TestRequireExpiration(t *testing.T) {
	g, _ := follow(t, func(o *Options) { o.RequireExpiration = true })
	exp := fmt.Sprintf(`"iat":1,"exp":%d`, time.Now().Add(time.Hour).Unix())
	for name, test := range map[string]struct {
		token  string
		status int
		detail string
	}{
		"it expires":       {own().token(payload("acme", `"iat":1`, exp)), 200, ""},
		"it never does":    {own().token(payload("acme")), 401, "The token never expires, which is not accepted here."},
		"it says null":     {own().token(payload("acme", `"iat":1`, `"iat":1,"exp":null`)), 401, ""},
		"it says 0":        {own().token(payload("acme", `"iat":1`, `"iat":1,"exp":0`)), 401, ""},
		"it expired":       {own().token(payload("acme", `"iat":1`, `"iat":1,"exp":2`)), 401, "The token has expired."},
		"another's claims": {other().token(payload("acme")), 401, "revoked"},
	} {
		for range 2 { // also once it is known
			v := ask(t, g, request("GET", "Bearer "+test.token))
			if v.status != test.status || !strings.Contains(v.headers.Get("WWW-Authenticate"), test.detail) {
				t.Errorf("%s: %d %s", name, v.status, v.headers.Get("WWW-Authenticate"))
			}
		}
	}
}

func TestRequirements(t *testing.T) {
	log := new(lockedBuffer)
	g, _ := follow(t, func(o *Options) {
		o.Audience, o.AnyAudience = []string{"maps", "else"}, false
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	})
	token := "Bearer " + own().token(payload("acme"))
	for _, test := range []struct {
		extensions string // as JSON
		status     int
		challenge  string // a part
	}{
		{`{}`, 200, ""},
		{`{"scopes":"maps:read"}`, 200, ""},
		{`{"scopes":" tiles:read  maps:read "}`, 200, ""},
		{`{"scopes":"maps:read maps:write"}`, 403, `error="insufficient_scope", error_description="The token lacks a scope that is required here.", scope="maps:read maps:write"`},
		{`{"scopes":"maps"}`, 403, "insufficient_scope"},
		{`{"scopes":"MAPS:READ"}`, 403, "insufficient_scope"},
		{`{"scopes":"maps:read,tiles:read"}`, 500, ""},
		{`{"scopes":"maps:read, tiles:read"}`, 500, ""},
		{`{"audience":"x"}`, 200, ""},
		{`{"audience":"y x"}`, 200, ""},
		{`{"audience":"y"}`, 401, "The token is for another audience."},
		{`{"workspace":"acme"}`, 200, ""},
		{`{"workspace":"beta acme"}`, 200, ""},
		{`{"workspace":"beta"}`, 401, `error="invalid_token", error_description="The token's workspace is not accepted here."`},
		{`{"workspace":"acm"}`, 401, "The token's workspace is not accepted here."},
		{`{"workspace":"beta,acme"}`, 500, ""},
		{`{"audience":"y,x"}`, 401, "The token is for another audience."},
		{`{"workspace":"acme","audience":"maps","scopes":"maps:read"}`, 200, ""},
		{`{"workspace":"acme","audience":"maps","scopes":"admin"}`, 403, "insufficient_scope"},
		{`{"scope":"maps:read"}`, 500, ""},
		{`{"Scopes":"maps:read"}`, 500, ""},
		{`{"scopes":"maps:read","audiences":"maps"}`, 500, ""},
		{`{"":"x"}`, 500, ""},
		{`{"scopes":""}`, 500, ""},
		{`{"audience":" "}`, 500, ""},
		{`{"workspace":"\t"}`, 500, ""},
	} {
		var extensions map[string]string
		check(t, json.Unmarshal([]byte(test.extensions), &extensions))
		v := ask(t, g, with(request("GET", token), extensions))
		if v.status != test.status || !strings.Contains(v.headers.Get("WWW-Authenticate"), test.challenge) {
			t.Errorf("%s: %d %s", test.extensions, v.status, v.headers.Get("WWW-Authenticate"))
		}
		if test.status != 200 {
			wantProblem(t, test.extensions, v)
		}
		if v := ask(t, g, with(request("GET"), extensions)); v.status != max(401, test.status/500*500) {
			t.Errorf("%s: %d without a token", test.extensions, v.status)
		}
	}
	if v := ask(t, g, request("GET", "Bearer "+own().token(payload("acme", `"maps",`, "")))); v.status != 401 {
		t.Errorf("without the global audience: %d", v.status)
	}
	text := log.String()
	for _, fault := range []string{
		"scope is none of audience, scopes and workspace", "audiences is none of", "scopes has a comma", "scopes is empty", "audience is empty",
		"workspace has a comma", "host=api.example.com path=/v1/tiles\n",
	} {
		if !strings.Contains(text, fault) {
			t.Errorf("the log does not say %s:\n%s", fault, text)
		}
	}
	if strings.Contains(text, token[40:60]) || strings.Contains(text, "x=1") {
		t.Error("the log has a token, or a query")
	}
}

// Each fault is told of in each place, but not for ever, and not without end.
func TestFaults(t *testing.T) {
	var f faults
	now := time.Now()
	tell := func(text, place string, want bool) {
		t.Helper()
		if got := f.isNew(text, place, now); got != want {
			t.Errorf("%s at %s: %t", text, place, got)
		}
	}
	tell("a", "x", true)
	tell("a", "x", false)
	tell("a", "y", true)
	tell("b", "x", true)
	for i := range 2 * placesMax {
		tell("c", fmt.Sprint(i), i < placesMax)
	}
	for i := range 2 * faultsMax {
		tell(fmt.Sprint(i), "x", i < faultsMax-3)
	}
	tell("a", "x", false)
	now = now.Add(faultsEvery)
	tell("a", "x", true)
}

func TestPathPrefix(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/tiles/7/8?x=1": "/v1/tiles", "/v1?x=1": "/v1", "/": "/", "": "", "*": "*", "/" + strings.Repeat("a", 100): "/" + strings.Repeat("a", placeLen-1),
	} {
		if got := pathPrefix(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
