package portal

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
)

const (
	// setMaxAge is how long gateways use a key set before they fetch it again: its max-age, also in our
	// Envoy configuration.
	setMaxAge = 5 * time.Second
	// usableAfter is how long it takes until every healthy gateway accepts a new key, including the
	// fetch.
	usableAfter = setMaxAge + time.Second
	// exampleURL is for workspaces without a base URL.
	exampleURL = "https://api.example.com/"
)

// issuedPage is the data of the only page that shows a token.
type issuedPage struct {
	Key            shownKey
	Old            *shownKey // its predecessor, or nil
	Token          string
	Variable, File string // names for a file with the token
	BaseURL        string
	Example        bool // BaseURL is exampleURL
	Wait           int  // seconds
}

// showIssued shows a new token. No other page shows a token.
func (v *visit) showIssued(issued authz.Issued, old *shownKey) error {
	p := issuedPage{
		Key: v.show(issued.Key), Old: old, Token: issued.Token.Reveal(), Wait: int(usableAfter / time.Second),
		Variable: strings.ToUpper(strings.ReplaceAll(v.workspace.ID, "-", "_")) + "_API_KEY",
		File:     v.workspace.ID + ".env", BaseURL: v.workspace.Portal.BaseURL,
	}
	if p.Variable[0] >= '0' && p.Variable[0] <= '9' { // no shell variable begins with a digit
		p.Variable = "_" + p.Variable
	}
	if p.BaseURL == "" {
		p.BaseURL, p.Example = exampleURL, true
	}
	return v.render(http.StatusOK, "issued", "issued.title", p)
}

// liveness is the answer to portal.js, which polls after a key was issued.
type liveness struct {
	Status string `json:"status"`       // "waiting", "live" or "gone"
	In     int    `json:"in,omitempty"` // seconds until it should be live
}

// isLive answers whether all gateways accept the key by now.
func isLive(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	body, err := json.Marshal(v.liveness(k.KID, v.now().Sub(k.CreatedAt), k.Published()))
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	_, _ = v.w.Write(body)
	return nil
}

func (v *visit) liveness(kid jwks.KID, age time.Duration, published bool) liveness {
	set, ok := v.publisher.Set(v.workspace.ID)
	if ok {
		_, ok = set.Lookup(kid)
	}
	switch {
	case !published:
		return liveness{Status: "gone"}
	case ok && age >= usableAfter:
		return liveness{Status: "live"}
	}
	return liveness{Status: "waiting", In: max(1, int(math.Ceil((usableAfter - age).Seconds())))}
}
