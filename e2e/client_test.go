package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// plainHTTP requests no compression, since tests measure and search the body. It keeps no idle connections,
// which would be broken after a server was killed.
var plainHTTP = &http.Client{
	Timeout:   time.Minute,
	Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true},
}

// client calls the management API.
type client struct{ url, token string }

func (s *server) admin() *client { return &client{s.url, s.key()} }

// key is an issued key in the form of the API's answer.
type key struct {
	Token, ID, KID, Workspace, Owner, Status string
	Version                                  uint64
	ExpiresAt                                *time.Time `json:"expires_at"`
}

// problem is the body of an error.
type problem struct {
	Type, Title, Detail string
	Status              int
	KeyID               string `json:"key_id"`
	Errors              []struct{ Field, Detail string }
}

// statusError is an answer other than success.
type statusError struct {
	status  int
	problem problem
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%d %s %v", e.status, e.problem.Detail, e.problem.Errors)
}

// call sends a request and decodes the answer into out, unless out is nil.
func (c *client) call(method, path string, in, out any) error {
	return c.callWith(method, path, nil, in, out)
}

// callWith is call with further headers.
func (c *client) callWith(method, path string, header http.Header, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, c.url+path, body)
	if err != nil {
		return err
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := plainHTTP.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		failed := &statusError{status: resp.StatusCode}
		_ = json.Unmarshal(text, &failed.problem) // the status says enough
		return failed
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

func (c *client) issue(workspace string, in map[string]any) (key, error) {
	var k key
	return k, c.call(http.MethodPost, "/v1/workspaces/"+workspace+"/keys", in, &k)
}

// revoke revokes a key and returns the first version of the set without it.
func (c *client) revoke(workspace, id string) (uint64, error) {
	var answer struct {
		Status  string
		Version uint64
	}
	err := c.call(http.MethodDelete, "/v1/workspaces/"+workspace+"/keys/"+id, nil, &answer)
	if err == nil && answer.Status != "revoked" {
		err = fmt.Errorf("status %q after a revocation", answer.Status)
	}
	return answer.Version, err
}

// keys lists all keys of a workspace.
func (c *client) keys(workspace string) (all []key, err error) {
	query := url.Values{"limit": {"1000"}}
	for {
		var page struct {
			Keys       []key
			NextCursor *string `json:"next_cursor"`
		}
		if err := c.call(http.MethodGet, "/v1/workspaces/"+workspace+"/keys?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Keys...)
		if page.NextCursor == nil {
			return all, nil
		}
		query.Set("cursor", *page.NextCursor)
	}
}

func (c *client) version(workspace string) (uint64, error) {
	var w struct{ Version uint64 }
	return w.Version, c.call(http.MethodGet, "/v1/workspaces/"+workspace, nil, &w)
}

// mustCreate creates a workspace.
func (c *client) mustCreate(t testing.TB, workspace string) {
	t.Helper()
	check(t, c.call(http.MethodPost, "/v1/workspaces", map[string]any{"id": workspace}, nil))
}

// mustIssue issues a key. The pairs are additional members of the request body.
func (c *client) mustIssue(t testing.TB, workspace string, pairs ...any) key {
	t.Helper()
	in := map[string]any{"owner": "cust_1"}
	for i := 0; i < len(pairs); i += 2 {
		in[pairs[i].(string)] = pairs[i+1]
	}
	k, err := c.issue(workspace, in)
	check(t, err)
	return k
}

func (c *client) mustRevoke(t testing.TB, k key) {
	t.Helper()
	_, err := c.revoke(k.Workspace, k.ID)
	check(t, err)
}

// keySet is a published set.
type keySet struct {
	version uint64
	size    int
	moduli  map[string]*big.Int // by kid
}

func (s *server) issuer(workspace string) string { return s.url + "/v1/auth/oauth/" + workspace }

func (s *server) jwksURL(workspace string) string {
	return s.issuer(workspace) + "/.well-known/jwks.json"
}

// fetch returns a workspace's set.
func (s *server) fetch(workspace string) (text []byte, etag string, err error) {
	resp, err := plainHTTP.Get(s.jwksURL(workspace))
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the set: %s", resp.Status)
	}
	return text, resp.Header.Get("Etag"), err
}

// published returns a workspace's set; its version is from the ETag.
func (s *server) published(workspace string) (*keySet, error) {
	text, etag, err := s.fetch(workspace)
	if err != nil {
		return nil, err
	}
	return readSet(text, etag)
}

func readSet(text []byte, etag string) (*keySet, error) {
	number, _, _ := strings.Cut(strings.Trim(etag, `"`), ".")
	version, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("the set's ETag: %w", err)
	}
	var body struct{ Keys []struct{ KID, N string } }
	if err := json.Unmarshal(text, &body); err != nil {
		return nil, fmt.Errorf("the set: %w", err)
	}
	set := &keySet{version: version, size: len(body.Keys), moduli: make(map[string]*big.Int)}
	for _, k := range body.Keys {
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		if err != nil {
			return nil, fmt.Errorf("the set: %w", err)
		}
		set.moduli[k.KID] = new(big.Int).SetBytes(n)
	}
	return set, nil
}

func (k *keySet) has(kid string) bool { return k.moduli[kid] != nil }

func (s *server) mustPublished(workspace string) *keySet {
	s.t.Helper()
	set, err := s.published(workspace)
	check(s.t, err)
	return set
}

// metric returns the value of a sample in /metrics. The sample is its name with labels, as printed there.
func (s *server) metric(sample string) (float64, bool) {
	_, text := s.get("/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), sample+" "); ok {
			f, err := strconv.ParseFloat(value, 64)
			return f, err == nil
		}
	}
	return 0, false
}

// status returns the HTTP status in an error, or 0.
func status(err error) int {
	var refused *statusError
	if errors.As(err, &refused) {
		return refused.status
	}
	return 0
}
