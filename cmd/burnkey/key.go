package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
)

func keyCommand() *cobra.Command {
	var k calls
	return k.group("key", "Issue, show, rotate and revoke keys on a running server", append(k.inWorkspace(
		keyIssueCommand(&k), keyListCommand(&k), oneKey(&k, "show", "Show a key", (*client.Client).Key, allKeyRows),
		keyUpdateCommand(&k), keyUpdateManyCommand(&k), keyRotateCommand(&k),
		keyRotationCommand(&k, "end-grace", "End a rotation's grace now: the old key is revoked", (*client.Client).EndGrace),
		keyRotationCommand(&k, "undo-rotation", "Undo a rotation within its grace: the successor is revoked, and the old key stays active",
			(*client.Client).UndoRotation),
		oneKey(&k, "revoke", "Revoke a key: its JWK leaves the published set", (*client.Client).RevokeKey, revokedRows),
		keyRevokeManyCommand(&k),
	), keyFindCommand(&k))...)
}

// lifetime is how long a key is valid.
type lifetime struct {
	span
	never bool
}

// flags adds the flags. With never, keys do not expire by default.
func (l *lifetime) flags(cmd *cobra.Command, byDefault string) {
	if byDefault != "" {
		byDefault = " (default " + byDefault + ")"
	}
	cmd.Flags().Var(&l.span, "expires-in", "how long the key is valid: 3600, 90m, 720h or 30d"+byDefault)
	cmd.Flags().BoolVar(&l.never, "never-expires", l.never, "issue a key that is valid until it is revoked")
	exclusive(cmd, "expires-in", "never-expires")
}

func (l *lifetime) forever() bool { return l.never && l.text == "" }

func (l *lifetime) seconds() *int64 {
	if l.text == "" {
		return nil
	}
	seconds := int64(l.value / time.Second)
	return &seconds
}

func keyIssueCommand(k *calls) *cobra.Command {
	var in client.NewKey
	var life lifetime
	var claims, metadata, idempotencyKey string
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issue a key and print its token, which is shown only once",
		Long:  "Issue a key. A pipe or a file gets only the token; a terminal also shows the other fields.",
		Args:  noArgs,
		RunE: k.run(func(cmd *cobra.Command, c *client.Client, _ []string) (err error) {
			in.ExpiresIn, in.NeverExpires = life.seconds(), life.forever()
			if in.Claims, err = jsonFlag("claims", claims); err != nil {
				return err
			}
			if in.Metadata, err = jsonFlag("metadata", metadata); err != nil {
				return err
			}
			key, err := c.IssueKey(cmd.Context(), k.workspace, in, idempotencyKey)
			if err != nil {
				return err
			}
			return k.issued(cmd, key)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Owner, "owner", "", "your own id for the holder of the key: the token's sub")
	require(cmd, "owner")
	flags.StringVar(&in.Name, "name", "", "what the key is for")
	flags.StringSliceVar(&in.Scopes, "scope", nil,
		"what the key may do; may be repeated (in the workspace "+authz.Home+": "+strings.Join(authz.ManagementScopes(), ", ")+")")
	flags.StringSliceVar(&in.Audience, "audience", nil, "one of the workspace's audiences; may be repeated (default all of them)")
	life.flags(cmd, "90d")
	flags.StringSliceVar(&in.AllowedIPs, "allowed-ip", nil,
		"`NETWORK` or address from which the key can be used; may be repeated (default any)")
	flags.StringVar(&in.Plan, "plan", "", "`NAME` of the plan whose limits the key has")
	flags.Var((*limitFlag)(&in.Limits), "limit", limitUsage)
	flags.StringVar(&in.Parent, "parent", "", "`ID` of an active key of the owner: the new key can do no more, and is revoked with it")
	flags.StringVar(&claims, "claims", "", "a JSON `OBJECT` of further claims to sign")
	flags.StringVar(&metadata, "metadata", "", "a JSON `OBJECT` to store with the key, not signed")
	flags.StringVar(&idempotencyKey, "idempotency-key", "",
		"`TEXT` that makes it safe to repeat the command: with the same TEXT, no second key is issued")
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

func keyListCommand(k *calls) *cobra.Command {
	var f client.KeyFilter
	cmd := listCommand(k, "keys", "List keys, the newest first", keyTable,
		func(cmd *cobra.Command, c *client.Client) (client.List[client.Key], error) {
			return c.Keys(k.workspace, f), notEmpty(cmd.Flags(), "owner", "status", "plan", "parent", "query")
		})
	flags := cmd.Flags()
	flags.StringVar(&f.Owner, "owner", "", "only keys of this owner")
	flags.StringVar(&f.Status, "status", "", "only keys with this status: active, deprecated, suspended, revoked or expired")
	flags.StringVar(&f.Plan, "plan", "", "only keys with this plan")
	flags.StringVar(&f.Parent, "parent", "", "only keys under the key with this `ID`")
	flags.StringVar(&f.Query, "query", "", "only keys with this `TEXT` in the name or the owner, or as their id or kid")
	choices(cmd, "status", "active", "deprecated", "suspended", "revoked", "expired")
	return cmd
}

func keyRotateCommand(k *calls) *cobra.Command {
	grace := span{orZero: true}
	var idempotencyKey string
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Issue a key's successor and print its token, which is shown only once",
		Long: "Issue a key with the fields of the old one. The old key works until the grace ends, and is then revoked\n" +
			"automatically. A pipe or a file gets only the new token; a terminal also shows the other fields.",
		Args: oneArg("the id of a key"),
		RunE: k.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			var in client.Rotation
			if grace.text != "" {
				in.Grace = grace.value.String()
			}
			key, err := c.RotateKey(cmd.Context(), k.workspace, args[0], in, idempotencyKey)
			if err != nil {
				return err
			}
			return k.issued(cmd, key)
		}),
	}
	cmd.Flags().Var(&grace, "grace", "how long the old key keeps working: 0, 3600, 90m, 720h or 30d (default 24h)")
	cmd.Flags().StringVar(&idempotencyKey, "idempotency-key", "",
		"`TEXT` that makes it safe to repeat the command: with the same TEXT, no second key is issued")
	return cmd
}

// keyRotationCommand returns a command that takes a rotated key or its successor.
func keyRotationCommand(k *calls, use, short string, method keyMethod[*client.Key]) *cobra.Command {
	cmd := oneKey(k, use, short, method, keyRows)
	cmd.Long = short + ".\nID is the old key's or its successor's; the old key is shown."
	return cmd
}
