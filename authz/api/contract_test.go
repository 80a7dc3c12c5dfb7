package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/burnkey/burnkey/authz/api"
	"github.com/burnkey/burnkey/jwks"
)

// contract is the server's own OpenAPI document, or "the document", with which the tests compare all answers.
type contract struct {
	raw        []byte
	Paths      map[string]map[string]*operation `json:"paths"`
	Components struct {
		Schemas map[string]json.RawMessage `json:"schemas"`
	} `json:"components"`
	templates []template
	publicURL string

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	schemas  map[string]*jsonschema.Schema
}

type operation struct {
	ID          string                       `json:"operationId"`
	Summary     string                       `json:"summary"`
	Security    []map[string][]string        `json:"security"`
	Parameters  []parameter                  `json:"parameters"`
	RequestBody *content                     `json:"requestBody"`
	Responses   map[string]*documentedAnswer `json:"responses"`
}

type parameter struct {
	Name     string         `json:"name"`
	In       string         `json:"in"`
	Required bool           `json:"required"`
	Schema   map[string]any `json:"schema"`
}

type content struct {
	Content map[string]any `json:"content"`
}

type documentedAnswer struct {
	content
	Description string `json:"description"`
}

type template struct {
	path    string
	pattern *regexp.Regexp
}

const schemaURL = "burnkey:///openapi.json"

var pathParam = regexp.MustCompile(`\\\{[a-z]+\\\}`)

func readContract(t *testing.T, transport http.RoundTripper, server string) *contract {
	t.Helper()
	resp, err := (&http.Client{Transport: transport}).Get(server + "/openapi.json")
	must(t, err)
	defer resp.Body.Close()
	c := &contract{compiler: jsonschema.NewCompiler(), schemas: make(map[string]*jsonschema.Schema)}
	c.raw, err = io.ReadAll(resp.Body)
	must(t, err)
	must(t, json.Unmarshal(c.raw, c))
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(c.raw))
	must(t, err)
	c.compiler.AssertFormat()
	must(t, c.compiler.AddResource(schemaURL, doc))
	for path := range c.Paths {
		pattern := pathParam.ReplaceAllString(regexp.QuoteMeta(path), `[^/]*`)
		if strings.HasSuffix(path, "}") {
			pattern = strings.TrimSuffix(pattern, "*") + "+"
		}
		c.templates = append(c.templates, template{path, regexp.MustCompile("^" + pattern + "$")})
	}
	return c
}

// schema compiles the schema at a path of member names in the document.
func (c *contract) schema(place ...string) (*jsonschema.Schema, error) {
	var pointer strings.Builder
	for _, step := range place {
		step = strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
		pointer.WriteString("/" + url.PathEscape(step))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := schemaURL + "#" + pointer.String()
	if c.schemas[at] == nil {
		compiled, err := c.compiler.Compile(at)
		if err != nil {
			return nil, err
		}
		c.schemas[at] = compiled
	}
	return c.schemas[at], nil
}

// find returns the documented path template and operation of a request: "" and nil if there is none.
func (c *contract) find(method, path string) (string, *operation) {
	for _, t := range c.templates {
		if t.pattern.MatchString(path) {
			return t.path, c.Paths[t.path][strings.ToLower(method)]
		}
	}
	return "", nil
}

// check returns an error if an answer differs from the document.
func (c *contract) check(r *http.Request, resp *http.Response, body []byte) error {
	path, op := c.find(r.Method, r.URL.EscapedPath())
	errs := []error{checkHeader(op, resp)}
	switch status := strconv.Itoa(resp.StatusCode); {
	case r.Method == http.MethodHead && (path == "" || op == nil):
		errs = append(errs, expect(resp.StatusCode == 404 || resp.StatusCode == 405, "no such call, but %s", status))
	case path == "":
		errs = append(errs, expect(resp.StatusCode == 404, "no such path, but %s", status), c.checkProblem(resp, body))
	case op == nil && r.Method == http.MethodOptions:
		errs = append(errs, expect(resp.StatusCode == 204 && len(body) == 0, "OPTIONS answered %s", status))
	case op == nil:
		errs = append(errs, expect(resp.StatusCode == 405, "no such method, but %s", status), c.checkProblem(resp, body))
	case op.Responses[status] == nil:
		errs = append(errs, fmt.Errorf("status %s is not documented", status))
	default:
		errs = append(errs, c.checkBody(path, strings.ToLower(r.Method), status, op, resp, body))
		isOAuth := op.ID == "exchange-key" && resp.StatusCode <= 401
		if resp.StatusCode >= 400 && r.Method != http.MethodHead && !isOAuth {
			errs = append(errs, c.checkProblem(resp, body))
		}
	}
	issues := op != nil && (op.ID == "issue-key" || op.ID == "rotate-key") && resp.StatusCode == 201
	if mayShow := issues || op != nil && op.ID == "exchange-key" && resp.StatusCode == 200; !mayShow {
		shown := string(body) + fmt.Sprint(resp.Header)
		errs = append(errs, expect(!strings.Contains(shown, jwks.TokenPrefix), "it shows a token"))
	}
	return errors.Join(errs...)
}

func (c *contract) checkBody(path, method, status string, op *operation, resp *http.Response, body []byte) error {
	documented := op.Responses[status].Content
	if len(documented) == 0 {
		return expect(len(body) == 0, "a body, where none is documented")
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	for mediaType := range documented {
		if name, _, _ := mime.ParseMediaType(mediaType); name != kind {
			continue
		}
		if !strings.HasSuffix(kind, "json") || resp.Header.Get("Content-Encoding") != "" {
			return nil
		}
		place := []string{"paths", path, method, "responses", status, "content", mediaType, "schema"}
		return c.validate(body, place...)
	}
	return fmt.Errorf("content type %s is not documented", kind)
}

func (c *contract) validate(body []byte, place ...string) error {
	schema, err := c.schema(place...)
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// checkProblem checks an error answer against RFC 9457 and the document.
func (c *contract) checkProblem(resp *http.Response, body []byte) error {
	var p problem
	if err := c.validate(body, "components", "schemas", "Problem"); err != nil {
		return fmt.Errorf("%.200s: %w", body, err)
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return err
	}
	return errors.Join(
		expect(resp.Header.Get("Content-Type") == "application/problem+json", "the problem is %s", resp.Header.Get("Content-Type")),
		expect(p.Status == resp.StatusCode, "the problem's status is %d", p.Status),
		c.checkKind(p),
		expect(p.Detail != "", "the problem has no detail"),
		expect(p.Status != 422 && p.Status != 413 && p.Status != 415 || len(p.Errors) > 0, "no field is named"),
	)
}

// checkKind checks that the problem is of a kind in the table, and has the kind's type, title and status.
func (c *contract) checkKind(p problem) error {
	for _, k := range api.Kinds() {
		if k.Code != p.Code {
			continue
		}
		about := c.publicURL + "/docs/problems/" + k.Code
		if k.Code == "quota_exceeded" {
			about = "https://iana.org/assignments/http-problem-types#quota-exceeded"
		}
		return errors.Join(
			expect(p.Type == about, "the problem's type is %q, want %q", p.Type, about),
			expect(p.Title == k.Title && p.Status == k.Status, "the problem is %d %q, want %d %q", p.Status, p.Title, k.Status, k.Title),
		)
	}
	return fmt.Errorf("the problem's code %q is not in the table", p.Code)
}

func checkHeader(op *operation, resp *http.Response) error {
	h := resp.Header
	has := func(name string, statuses ...int) error {
		return expect(!slices.Contains(statuses, resp.StatusCode) || h.Get(name) != "", "no %s", name)
	}
	management := op != nil && len(op.Security) > 0
	return errors.Join(
		expect(h.Get("X-Request-Id") != "", "no X-Request-Id"),
		expect(!management || h.Get("Cache-Control") == "no-store", "Cache-Control is %q", h.Get("Cache-Control")),
		expect(resp.StatusCode < 400 || h.Get("Cache-Control") == "no-store", "a refusal that may be kept"),
		has("WWW-Authenticate", 401, 403), has("Retry-After", 503), has("Allow", 405),
		// A link to the portal is not a resource, so its answer has no Location.
		expect(resp.StatusCode != 201 || h.Get("Location") != "" || op.ID == "create-portal-session", "no Location"),
	)
}

// problem has the members that all problems have.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Field  string `json:"field"`
		Detail string `json:"detail"`
	} `json:"errors"`
	Code  string `json:"code"`
	OAuth string `json:"error"`
	KeyID string `json:"key_id"`
}

func expect(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// problem decodes the answer. The transport has already checked that it is a problem.
func (a answer) problem() problem {
	a.t.Helper()
	var p problem
	must(a.t, json.Unmarshal(a.body, &p))
	return p
}

// names reports whether the problem names a field, or a part of it.
func (p problem) names(field string) bool {
	for _, e := range p.Errors {
		if rest, ok := strings.CutPrefix(e.Field, field); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return e.Detail != ""
		}
	}
	return false
}

// checked is an http.RoundTripper that checks every answer against the document.
type checked struct {
	s    *server
	base http.RoundTripper
}

func (c *checked) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err := c.s.contract.check(r, resp, body); err != nil {
		c.s.t.Errorf("%s %s: %d: %s", r.Method, redact(r.URL.Path), resp.StatusCode, redact(err.Error()))
	}
	if resp.StatusCode == 500 && !c.s.mayBreak.Load() {
		c.s.t.Errorf("%s %s: 500", r.Method, redact(r.URL.Path))
	}
	return resp, nil
}
