package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Of a wrong public URL no key, no stream and no log tells: every token is just of
// another issuer. The server says whose its tokens are (OpenID Connect Discovery 1.0
// section 4), so that the two can be compared.
const (
	metadataPath    = "/.well-known/openid-configuration"
	metadataTimeout = 10 * time.Second
	metadataMax     = 64 << 10 // bytes
	issuerMax       = 512      // bytes that are told
	issuerEvery     = time.Minute
	issuerAgain     = 5 * time.Second // where it was not the one expected, or not to be had
)

// IssuerError says that the tokens of the server that is followed have another iss
// than the Gateway accepts: it refuses them all.
type IssuerError struct {
	Expected, Published string
	// PublicURL is what Options.PublicURL would have to be; empty if there is none.
	PublicURL string
}

func (e *IssuerError) Error() string {
	text := fmt.Sprintf("every token is refused: the server's tokens are of the issuer %q, and %q is expected; ", e.Published, e.Expected)
	if e.PublicURL == "" {
		return text + "is --server a Burnkey server?"
	}
	return text + fmt.Sprintf("set --public-url to %q", e.PublicURL)
}

func newIssuerError(expected, published, workspace string) *IssuerError {
	e := &IssuerError{Expected: expected, Published: published[:min(len(published), issuerMax)]}
	if base, ok := strings.CutSuffix(e.Published, issuerPath+workspace); ok {
		e.PublicURL = base
	}
	return e
}

// watchIssuer compares the issuers until ctx ends.
func (g *Gateway) watchIssuer(ctx context.Context) {
	pauses := &backoff.ExponentialBackOff{
		InitialInterval: 100 * time.Millisecond, MaxInterval: issuerAgain / 2, Multiplier: 2, RandomizationFactor: 1,
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	var told time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wrong, err := g.compareIssuer(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil: // what was last known stays; that the server is away, others tell
			g.o.Log.DebugContext(ctx, "cannot ask for the issuer", "err", err)
			timer.Reset(pauses.NextBackOff())
			continue
		}
		pauses.Reset()
		before := g.wrongIssuer.Swap(wrong)
		if wrong == nil {
			if before != nil {
				g.o.Log.InfoContext(ctx, "the server's tokens are of the expected issuer now")
			}
			told = time.Time{}
			timer.Reset(g.issuerEvery)
			continue
		}
		if time.Since(told) >= time.Minute {
			g.o.Log.ErrorContext(ctx, "the server is another than the gateway expects", "err", wrong)
			told = time.Now()
		}
		timer.Reset(min(g.issuerEvery, issuerAgain))
	}
}

var errNoneKnown = errors.New("no workspace is known yet")

// compareIssuer asks about one of the workspaces; nil says that its tokens are of
// the expected issuer.
func (g *Gateway) compareIssuer(ctx context.Context) (*IssuerError, error) {
	for id := range g.all() { // another one each time: some may be none of the server's
		published, err := g.askIssuer(ctx, id)
		if err != nil {
			return nil, err
		}
		if expected := g.spokenFor.prefix + id; published != expected {
			return newIssuerError(expected, published, id), nil
		}
		return nil, nil
	}
	return nil, errNoneKnown
}

// askIssuer returns the issuer in a workspace's metadata.
func (g *Gateway) askIssuer(ctx context.Context, workspace string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.serverIssuer(workspace)+metadataPath, nil)
	if err != nil {
		return "", err
	}
	resp, err := g.client.Do(req)
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
		return "", errors.New("the server's answer is no issuer's metadata")
	}
	return metadata.Issuer, nil
}
