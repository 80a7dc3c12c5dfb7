package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/burnkey/burnkey/jwks"
)

// manage makes a call with a management key. It follows no redirect, which would send
// the key elsewhere.
func (g *Gateway) manage(req *http.Request, key string) (*http.Response, error) {
	req.Header.Set("Authorization", "Bearer "+key)
	client := http.Client{Transport: g.client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return client.Do(req)
}

// read unmarshals untrusted JSON and reports whether it was valid and not nested too deep.
func read(text []byte, into any) bool {
	_, deep := jwks.TooDeep(text, jwks.MaxDepth)
	return !deep && json.Unmarshal(text, into) == nil
}
