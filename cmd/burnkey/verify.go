package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
)

const (
	maxSet     = 64 << 20 // bytes
	setTimeout = 2 * time.Minute
)

// verdict is the result of verify.
type verdict struct {
	Verdict   string          `json:"verdict"` // good, refused, or unchecked
	Reason    string          `json:"reason,omitempty"`
	Type      jwks.TokenType  `json:"type"`
	Key       string          `json:"key"`
	KID       string          `json:"kid"`
	KeyKID    string          `json:"key_kid,omitempty"` // of the key for which the exchange issued the token
	Prefix    string          `json:"prefix,omitempty"`  // before the JWT
	Owner     string          `json:"owner"`
	Issuer    string          `json:"issuer"`
	Audience  []string        `json:"audience"`
	Scopes    []string        `json:"scopes"`
	Claims    json.RawMessage `json:"claims,omitempty"`
	IssuedAt  time.Time       `json:"issued_at"`
	ExpiresAt *time.Time      `json:"expires_at"`
	Published *bool           `json:"published"` // null: not looked up
	// IssuerChecked says whether iss was compared with the expected issuer.
	IssuerChecked bool `json:"issuer_checked"`
}

func verifyCommand() *cobra.Command {
	var v verification
	cmd := &cobra.Command{
		Use:   "verify -|TOKEN",
		Short: "Explain a token: its owner, its expiry, and whether it is valid",
		Long: "Explain the token on standard input (-), or in the argument, which other users of the machine can read.\n" +
			"Surrounding text such as quotes, the word Bearer or a header's name is ignored.\n" +
			"With --jwks or --server the token is verified as by a gateway. Without them nothing is sent, and the signature\n" +
			"is not checked. The exit status is 1 if the token is refused or its key cannot be looked up, and 0 otherwise,\n" +
			"even if the token was not checked.",
		Args: oneArg("a token, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := pasted(cmd, args[0])
			if err != nil {
				return err
			}
			return v.run(cmd, token.Reveal())
		},
	}
	cmd.Flags().StringVar(&v.jwks, "jwks", "", "`URL or FILE` of the published set")
	cmd.Flags().StringVar(&v.server, "server", "", "`URL` of the server to look the key up at, unless --jwks is given")
	cmd.Flags().StringVar(&v.issuer, "issuer", "", "`URL` that iss must be (default with --server: the issuer of the token's workspace)")
	v.out.flag(cmd)
	return cmd
}

// pasted returns the token from standard input or from the argument.
func pasted(cmd *cobra.Command, arg string) (jwks.Token, error) {
	text := arg
	if arg != "-" {
		warn(cmd, "other users of this machine can read a token on the command line; use - and pass it on standard input")
	} else if read, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), jwks.MaxPastedLen+1)); err != nil {
		return "", err
	} else {
		text = string(read)
	}
	token, err := jwks.ReadPasted(text)
	if err != nil && strings.TrimSpace(text) != "" && !strings.Contains(text, jwks.TokenPrefix) {
		err = fmt.Errorf("%w: to look up an imported key, use burnkey key find -", err)
	}
	return token, err
}

type verification struct {
	jwks, server, issuer string
	out                  output
}

func (v *verification) run(cmd *cobra.Command, token string) error {
	prefix, jwt := jwks.CutPrefix(token)
	parsed, err := jwks.Parse(jwt)
	if err != nil {
		return err
	}
	claims, err := parsed.Claims()
	if err != nil {
		return err
	}
	result := explain(parsed, claims)
	result.Prefix = prefix
	if err := v.check(cmd.Context(), token, parsed, claims, &result); err != nil {
		return err
	}
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if err := v.out.show(cmd, string(text), result.rows()); err != nil {
		return err
	}
	if result.Verdict == "refused" {
		return exitError(1)
	}
	return nil
}

func explain(parsed *jwks.Parsed, claims *jwks.Claims) verdict {
	return verdict{
		Verdict: "unchecked", Reason: "the signature was not checked: name --jwks or --server",
		Type: parsed.Type, Key: claims.RecordID(), KID: parsed.KID.String(), Owner: claims.Subject, Issuer: claims.Issuer,
		Audience: claims.Audience, Scopes: claims.Scopes(), Claims: json.RawMessage(claims.Extra),
		IssuedAt: time.Unix(claims.IssuedAt, 0).UTC(), ExpiresAt: timeOrNil(claims.ExpiresAt()), KeyKID: parentOf(claims),
	}
}

// parentOf returns the kid of the key for which the exchange issued the token, or "".
func parentOf(claims *jwks.Claims) string {
	if claims.HasParent() {
		return claims.KeyKID.String()
	}
	return ""
}

// check verifies the token with the published set, if a flag requests that.
func (v *verification) check(ctx context.Context, token string, parsed *jwks.Parsed, claims *jwks.Claims, result *verdict) error {
	if v.jwks == "" && v.server == "" {
		if end := claims.ExpiresAt(); !end.IsZero() && !time.Now().Before(end) {
			result.Verdict, result.Reason = "refused", jwks.ErrExpired.Error()
		}
		return nil
	}
	source, issuer := v.jwks, v.issuer
	if source == "" {
		base := strings.TrimRight(v.server, "/") + jwks.IssuerPath + url.PathEscape(path.Base(claims.Issuer))
		source = base + jwks.SetPath
		if issuer == "" {
			var err error
			if issuer, err = issuerOf(ctx, base); err != nil {
				return err
			}
		}
	}
	result.IssuerChecked = issuer != ""
	kids := []jwks.KID{parsed.KID}
	if claims.HasParent() && !claims.KeyImported {
		kids = append(kids, claims.KeyKID)
	}
	keys := make(map[jwks.KID]jwks.Key)
	for _, kid := range kids {
		key, found, err := published(ctx, source, kid)
		if err != nil {
			return err
		}
		if found {
			keys[kid] = key
		}
	}
	found := len(keys) == len(kids)
	result.Published = &found
	verifier := jwks.Verifier{
		Keys:   jwks.KeyFunc(func(kid jwks.KID) (jwks.Key, bool) { key, ok := keys[kid]; return key, ok }),
		Issuer: func(iss string) bool { return issuer == "" || iss == issuer },
		// The output shows the audience.
		AnyAudience: true,
	}
	_, err := verifier.Verify(token)
	switch {
	case !found && result.ExpiresAt != nil && !result.ExpiresAt.After(time.Now()):
		result.Verdict, result.Reason = "refused", "the token's key is not published, and its claims say that it has expired"
	case err != nil:
		result.Verdict, result.Reason = "refused", err.Error()
	default:
		result.Verdict, result.Reason = "good", ""
	}
	return nil
}

// issuerOf returns the issuer of a workspace, according to the server.
func issuerOf(ctx context.Context, base string) (string, error) {
	text, err := get(ctx, http.MethodGet, base+"/.well-known/openid-configuration")
	if err != nil {
		return "", fmt.Errorf("the token's workspace: %w", err)
	}
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	if _, deep := jwks.TooDeep(text, jwks.MaxDepth); deep || json.Unmarshal(text, &metadata) != nil || metadata.Issuer == "" {
		return "", errors.New("the token's workspace: invalid answer from the server")
	}
	return metadata.Issuer, nil
}

// published looks up a key in a published set.
func published(ctx context.Context, source string, kid jwks.KID) (key jwks.Key, found bool, err error) {
	var text []byte
	if strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://") {
		text, err = fetchSet(ctx, source, kid)
	} else {
		text, err = os.ReadFile(source)
	}
	var keys []jwks.Key
	if err == nil && text != nil {
		keys, err = jwks.ParseSet(text)
	}
	if err != nil {
		return key, false, fmt.Errorf("the published set: %w", err)
	}
	if i := slices.IndexFunc(keys, func(key jwks.Key) bool { return key.KID() == kid }); i >= 0 {
		return keys[i], true, nil
	}
	return key, false, nil
}

// fetchSet returns the part of a published set that contains the key, or nil if the key is not in the set.
func fetchSet(ctx context.Context, source string, kid jwks.KID) ([]byte, error) {
	target, err := url.Parse(source)
	if err != nil {
		return nil, err
	}
	query := target.Query()
	query.Set("kid", kid.String())
	target.RawQuery = query.Encode()
	text, err := get(ctx, http.MethodGet, target.String())
	if refused := new(client.Problem); errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		// The status 404 means that either the key or the set does not exist.
		_, err = get(ctx, http.MethodHead, source)
		return nil, err
	}
	return text, err
}

// get returns the body of a successful answer.
func get(ctx context.Context, method, target string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return nil, err
	}
	c := http.Client{Timeout: setTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := c.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxSet))
	if err == nil && response.StatusCode/100 != 2 {
		return nil, client.ProblemOf(response, text)
	}
	return text, err
}

func (v *verdict) rows() [][]string {
	published := "not looked up"
	if v.Published != nil {
		published = map[bool]string{true: "yes", false: "no"}[*v.Published]
	}
	conclusion := v.Verdict
	if v.Reason != "" {
		conclusion += ": " + v.Reason
	}
	issuer := v.Issuer
	if v.Published != nil && !v.IssuerChecked {
		issuer += " (not checked: name --issuer)"
	}
	rows := [][]string{
		{"verdict", conclusion},
		{"published", published},
		{"key", v.Key},
		{"kid", v.KID},
		{"type", string(v.Type)},
		{"owner", v.Owner},
		{"issuer", issuer},
		{"audience", strings.Join(v.Audience, " ")},
		{"scopes", strings.Join(v.Scopes, " ")},
		{"issued", when(&v.IssuedAt)},
		{"expires", when(v.ExpiresAt)},
	}
	if v.KeyKID != "" {
		rows = append(rows, []string{"key's kid", v.KeyKID})
	}
	if v.Prefix != "" {
		rows = append(rows, []string{"prefix", v.Prefix + " (not checked)"})
	}
	if len(v.Claims) > 0 {
		rows = append(rows, []string{"claims", string(v.Claims)})
	}
	return rows
}
