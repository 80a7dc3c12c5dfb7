package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/jwks"
)

// keyView is a key as the API shows it.
type keyView struct {
	ID        string          `json:"id"`
	KID       string          `json:"kid"`
	Workspace string          `json:"workspace"`
	Owner     string          `json:"owner"`
	Name      string          `json:"name"`
	Scopes    []string        `json:"scopes"`
	Audience  []string        `json:"audience"`
	Claims    json.RawMessage `json:"claims,omitempty"`
	Metadata  json.RawMessage `json:"metadata,omitempty"`
	Status    string          `json:"status"`
	CreatedAt time.Time       `json:"created_at"`
	ExpiresAt *time.Time      `json:"expires_at"`
	RevokedAt *time.Time      `json:"revoked_at,omitempty"`

	RotatedFrom string     `json:"rotated_from,omitempty"`
	RotatedTo   string     `json:"rotated_to,omitempty"`
	GraceEndsAt *time.Time `json:"grace_ends_at,omitempty"`

	LastUsedAt *time.Time `json:"last_used_at"`
}

type issuedKey struct {
	Token string `json:"token"`
	keyView
}

// inPart reports whether the server left out all but the key's state, as the management key may
// not read keys.
func (k *keyView) inPart() bool { return k.KID == "" }

func (k *keyView) rows() [][]string {
	if k.inPart() {
		return k.rotationRows([][]string{
			{"key", k.ID}, {"status", k.Status}, {"created", when(&k.CreatedAt)}, {"other fields", "require the scope keys:read"},
		})
	}
	return k.rotationRows([][]string{
		{"key", k.ID},
		{"kid", k.KID},
		{"workspace", k.Workspace},
		{"owner", k.Owner},
		{"name", k.Name},
		{"scopes", strings.Join(k.Scopes, " ")},
		{"audience", strings.Join(k.Audience, " ")},
		{"status", k.Status},
		{"created", when(&k.CreatedAt)},
		{"expires", when(k.ExpiresAt)},
		{"last used", k.lastUsed()},
	})
}

func (k *keyView) rotationRows(rows [][]string) [][]string {
	if k.RotatedFrom != "" {
		rows = append(rows, []string{"successor of", k.RotatedFrom})
	}
	if k.RotatedTo != "" {
		rows = append(rows, []string{"rotated to", k.RotatedTo})
	}
	if k.GraceEndsAt != nil && k.RevokedAt == nil {
		rows = append(rows, []string{"grace ends", when(k.GraceEndsAt)})
	}
	if k.RevokedAt != nil {
		rows = append(rows, []string{"revoked", when(k.RevokedAt)})
	}
	return rows
}

// lastUsed is empty where no use is known: that may be because nobody reports it.
func (k *keyView) lastUsed() string {
	if k.LastUsedAt == nil {
		return ""
	}
	return when(k.LastUsedAt)
}

// ends is when the key stops working by itself, for its age or since it was rotated.
func (k *keyView) ends() *time.Time {
	if k.GraceEndsAt != nil && (k.ExpiresAt == nil || k.GraceEndsAt.Before(*k.ExpiresAt)) {
		return k.GraceEndsAt
	}
	return k.ExpiresAt
}

func keyTable(keys []keyView) [][]string {
	rows := [][]string{{"KEY", "OWNER", "NAME", "SCOPES", "STATUS", "CREATED", "EXPIRES", "LAST USED"}}
	for _, key := range keys {
		if key.inPart() {
			rows = append(rows, []string{key.ID, "", "", "", key.Status, when(&key.CreatedAt), "", ""})
			continue
		}
		rows = append(rows, []string{
			key.ID, key.Owner, key.Name, strings.Join(key.Scopes, " "), key.Status, when(&key.CreatedAt), when(key.ends()), key.lastUsed(),
		})
	}
	return rows
}

// keyCalls is what the key commands share.
type keyCalls struct {
	client
	output
	workspace string
}

func (k *keyCalls) path(id ...string) string {
	path := "/v1/workspaces/" + url.PathEscape(k.workspace) + "/keys"
	for _, part := range id {
		path += "/" + url.PathEscape(part)
	}
	return path
}

func keyCommand() *cobra.Command {
	var k keyCalls
	cmd := group("key", "Issue, look at, rotate and revoke keys, on a running server")
	k.client.flags(cmd)
	k.output.flag(cmd)
	for _, sub := range []*cobra.Command{
		keyIssueCommand(&k), keyListCommand(&k), keyShowCommand(&k), keyRotateCommand(&k), keyEndCommand(&k), keyUndoCommand(&k),
		keyRevokeCommand(&k), keyRevokeManyCommand(&k),
	} {
		workspaceFlag(sub, &k.workspace)
		cmd.AddCommand(sub)
	}
	return cmd
}

func workspaceFlag(cmd *cobra.Command, workspace *string) {
	cmd.Flags().StringVarP(workspace, "workspace", "w", "", "id of the workspace")
	_ = cmd.MarkFlagRequired("workspace")
}

// lifetime is how long a key is good for.
type lifetime struct {
	span
	never bool
}

// flags says the default where it is a time; it is for ever where never is true before.
func (l *lifetime) flags(cmd *cobra.Command, byDefault string) {
	if byDefault != "" {
		byDefault = " (default " + byDefault + ")"
	}
	cmd.Flags().Var(&l.span, "expires-in", "how long the key is good for: 3600, 90m, 720h or 30d"+byDefault)
	cmd.Flags().BoolVar(&l.never, "never-expires", l.never, "make a key that is good until it is revoked")
	cmd.MarkFlagsMutuallyExclusive("expires-in", "never-expires")
}

func (l *lifetime) forever() bool { return l.never && l.text == "" }

func (l *lifetime) seconds() *int64 {
	if l.text == "" {
		return nil
	}
	seconds := int64(l.value / time.Second)
	return &seconds
}

// newKey is the body of the call that issues.
type newKey struct {
	Owner        string          `json:"owner"`
	Name         string          `json:"name,omitempty"`
	Scopes       []string        `json:"scopes,omitempty"`
	Audience     []string        `json:"audience,omitempty"`
	ExpiresIn    *int64          `json:"expires_in,omitempty"`
	NeverExpires bool            `json:"never_expires,omitempty"`
	Claims       json.RawMessage `json:"claims,omitempty"`
	Metadata     json.RawMessage `json:"metadata,omitempty"`
}

func keyIssueCommand(k *keyCalls) *cobra.Command {
	var in newKey
	var life lifetime
	var claims, metadata, idempotencyKey string
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issue a key and print its token, this once",
		Long:  "Issue a key. Into a pipe or a file goes the token alone; a terminal shows the rest, too.",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			in.ExpiresIn, in.NeverExpires = life.seconds(), life.forever()
			var err error
			if in.Claims, err = jsonFlag("claims", claims); err != nil {
				return err
			}
			if in.Metadata, err = jsonFlag("metadata", metadata); err != nil {
				return err
			}
			header := make(http.Header)
			if idempotencyKey != "" {
				header.Set("Idempotency-Key", idempotencyKey)
			}
			var key issuedKey
			text, err := k.call(cmd.Context(), http.MethodPost, k.path(), nil, header, in, &key)
			if err != nil {
				return err
			}
			return k.issued(cmd, key, text)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Owner, "owner", "", "your own id of who holds the key: the token's sub")
	_ = cmd.MarkFlagRequired("owner")
	flags.StringVar(&in.Name, "name", "", "what the key is for")
	flags.StringSliceVar(&in.Scopes, "scope", nil, "what it may do; may be repeated (in the workspace "+authz.Home+": "+strings.Join(authz.ManagementScopes(), ", ")+")")
	flags.StringSliceVar(&in.Audience, "audience", nil, "aud, among the workspace's audiences; may be repeated (default all of them)")
	life.flags(cmd, "90d")
	flags.StringVar(&claims, "claims", "", "a JSON `OBJECT` of further claims to sign")
	flags.StringVar(&metadata, "metadata", "", "a JSON `OBJECT` to keep with the key, not signed")
	flags.StringVar(&idempotencyKey, "idempotency-key", "", "`TEXT` with which a repeat issues nothing")
	return cmd
}

func jsonFlag(name, text string) (json.RawMessage, error) {
	if text != "" && !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("--%s: must be a JSON object", name)
	}
	if _, deep := jwks.TooDeep([]byte(text), jwks.MaxDepth); deep {
		return nil, fmt.Errorf("--%s: must not be nested deeper than %d levels", name, jwks.MaxDepth)
	}
	return json.RawMessage(text), nil
}

func keyListCommand(k *keyCalls) *cobra.Command {
	limit := 100
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List keys, the newest first",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := filters(cmd.Flags(), map[string]string{"owner": "owner", "status": "status", "query": "q"})
			if err != nil {
				return err
			}
			found, err := list[keyView](cmd.Context(), &k.client, k.path(), values, "keys", limit)
			if err != nil {
				return err
			}
			return found.show(cmd, &k.output, keyTable(found.items))
		},
	}
	flags := cmd.Flags()
	flags.String("owner", "", "of this owner")
	flags.String("status", "", "active, deprecated, revoked or expired")
	flags.String("query", "", "whose name or owner contains this `TEXT`, or whose id or kid it is")
	flags.IntVar(&limit, "limit", limit, "at most so many; 0: all")
	_ = cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions([]string{"active", "deprecated", "revoked", "expired"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func keyShowCommand(k *keyCalls) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a key",
		Args:  oneArg("the id of a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var key keyView
			text, err := k.call(cmd.Context(), http.MethodGet, k.path(args[0]), nil, nil, nil, &key)
			if err != nil {
				return err
			}
			rows := append(key.rows(), []string{"claims", string(key.Claims)}, []string{"metadata", string(key.Metadata)})
			return k.show(cmd, text, rows)
		},
	}
}
