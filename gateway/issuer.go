package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/internal/loop"
	"github.com/burnkey/burnkey/jwks"
)

// A wrong PublicURL has only one effect: every token has an unexpected issuer and is refused. The Gateway
// therefore compares PublicURL with the issuer in the server's metadata (OpenID Connect Discovery 1.0 section
// 4).
const (
	metadataPath    = "/.well-known/openid-configuration"
	metadataTimeout = 10 * time.Second
	metadataMax     = 64 << 10 // bytes
	issuerMax       = 512      // bytes in an error
	issuerEvery     = time.Minute
	issuerRetry     = 5 * time.Second // after a mismatch or a failure
)

// An IssuerError says that the server's tokens have another issuer than the Gateway accepts. The Gateway then
// refuses all of them.
type IssuerError struct {
	Expected, Published string
	// PublicURL is the value of Options.PublicURL that would match the server's issuer, or empty if no value
	// would.
	PublicURL string
}

func (e *IssuerError) Error() string {
	text := fmt.Sprintf("every token is refused: the server's issuer is %q, not %q; ", e.Published, e.Expected)
	if e.PublicURL == "" {
		return text + "is --server a Burnkey server?"
	}
	return text + fmt.Sprintf("set --public-url to %q", e.PublicURL)
}

func newIssuerError(expected, published, workspace string) *IssuerError {
	e := &IssuerError{Expected: expected, Published: published[:min(len(published), issuerMax)]}
	if base, ok := strings.CutSuffix(e.Published, jwks.IssuerPath+workspace); ok {
		e.PublicURL = base
	}
	return e
}

// watchIssuer compares the issuers repeatedly until ctx ends. If a comparison fails, the last result remains.
func (g *Gateway) watchIssuer(ctx context.Context) {
	mismatch := logs.Failures{Level: slog.LevelError}
	loop.Loop{
		Next: func() time.Duration {
			if g.wrongIssuer.Load() != nil {
				return min(g.issuerEvery, issuerRetry)
			}
			return g.issuerEvery
		},
		Backoff: loop.Backoff{First: 200 * time.Millisecond, Max: issuerRetry},
	}.Run(ctx, func(ctx context.Context) error { // the Followers log that the server is unreachable
		wrong, err := g.compareIssuer(ctx)
		if err != nil {
			return err
		}
		g.wrongIssuer.Store(wrong)
		var mismatched error
		if wrong != nil {
			mismatched = wrong
		}
		mismatch.Note(g.o.Log, "", "unexpected issuer", mismatched)
		return nil
	})
}

var errNoWorkspaces = errors.New("no workspace is known yet")

// compareIssuer reads the issuer of one workspace. It returns nil if this is the expected issuer.
func (g *Gateway) compareIssuer(ctx context.Context) (*IssuerError, error) {
	var id string
	for t := range g.roster.all { // a random one, since the server may lack some
		id = t.id
		break
	}
	if id == "" {
		return nil, errNoWorkspaces
	}
	published, err := g.fetchIssuer(ctx, id)
	if err != nil {
		return nil, err
	}
	if expected := g.issuer.prefix + id; published != expected {
		return newIssuerError(expected, published, id), nil
	}
	return nil, nil
}

// fetchIssuer returns the issuer in a workspace's metadata.
func (g *Gateway) fetchIssuer(ctx context.Context, workspace string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.serverIssuer(workspace)+metadataPath, nil)
	if err != nil {
		return "", err
	}
	resp, err := g.followers.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the server answers %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, metadataMax+1))
	if err != nil {
		return "", err
	}
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	if len(text) > metadataMax || !read(text, &metadata) || metadata.Issuer == "" {
		return "", errors.New("invalid metadata: no issuer")
	}
	return metadata.Issuer, nil
}

// read decodes untrusted JSON. It reports whether the JSON was valid and not nested too deeply.
func read(text []byte, into any) bool {
	_, deep := jwks.TooDeep(text, jwks.MaxDepth)
	return !deep && json.Unmarshal(text, into) == nil
}
