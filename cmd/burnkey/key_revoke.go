package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

func keyRevokeCommand(k *keyCalls) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke a key: its JWK leaves the published set",
		Args:  oneArg("the id of a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var answer struct {
				ID        string    `json:"id"`
				Status    string    `json:"status"`
				RevokedAt time.Time `json:"revoked_at"`
				Version   uint64    `json:"version"`
			}
			text, err := k.call(cmd.Context(), http.MethodDelete, k.path(args[0]), nil, nil, nil, &answer)
			if err != nil {
				return err
			}
			return k.show(cmd, text, [][]string{
				{"key", answer.ID},
				{"status", answer.Status},
				{"revoked", when(&answer.RevokedAt)},
				{"version", strconv.FormatUint(answer.Version, 10)},
			})
		},
	}
}

// selection is the body of the call that revokes many keys.
type selection struct {
	Owner         string `json:"owner,omitempty"`
	Scope         string `json:"scope,omitempty"`
	CreatedBefore string `json:"created_before,omitempty"`
	UnusedFor     string `json:"unused_for,omitempty"`
	DryRun        bool   `json:"dry_run,omitempty"`
}

// revokedMany is what that call answers, or several of them together.
type revokedMany struct {
	DryRun bool              `json:"dry_run"`
	Count  int               `json:"count"`
	More   bool              `json:"more"`
	Keys   []json.RawMessage `json:"keys"`
}

func keyRevokeManyCommand(k *keyCalls) *cobra.Command {
	var in selection
	var before moment
	var unused span
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke-many",
		Short: "Revoke all keys of an owner, with a scope, of some age, or unused for long",
		Long: "Revoke the active keys, and those in a grace, to which all that is given applies. --dry-run lists them; to revoke\n" +
			"them takes --yes. In the workspace burnkey, your own management key is left out.",
		Example: "  burnkey key revoke-many -w acme --owner cust_1 --dry-run\n" +
			"  burnkey key revoke-many -w acme --scope maps:write --created-before 365d --yes\n" +
			"  burnkey key revoke-many -w acme --unused-for 90d --dry-run",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := filters(cmd.Flags(), map[string]string{"owner": "owner", "scope": "scope"}); err != nil {
				return err
			}
			in.CreatedBefore = before.query()
			if unused.value > 0 {
				in.UnusedFor = unused.value.String()
			}
			if in.DryRun || !yes {
				return k.wouldRevoke(cmd, in)
			}
			return k.revokeMany(cmd, in)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Owner, "owner", "", "of this owner")
	flags.StringVar(&in.Scope, "scope", "", "which have this scope")
	flags.Var(&before, "created-before", "made before this time: 2026-01-31T12:00:00Z, 2026-01-31, or 30d for so long ago")
	flags.Var(&unused, "unused-for", "made and last used longer ago than this, as far as gateways tell: 2160h or 90d, 24h or more")
	flags.BoolVar(&in.DryRun, "dry-run", false, "list the keys that would be revoked, and revoke none")
	flags.BoolVar(&yes, "yes", false, "revoke them")
	cmd.MarkFlagsOneRequired("owner", "scope", "created-before", "unused-for")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "yes")
	return cmd
}

func (k *keyCalls) revocations(cmd *cobra.Command, in selection) (many revokedMany, err error) {
	_, err = k.call(cmd.Context(), http.MethodPost, "/v1/workspaces/"+url.PathEscape(k.workspace)+"/revocations", nil, nil, in, &many)
	return many, err
}

// wouldRevoke lists the keys that are meant, or where that was not asked for says how many
// there are and fails.
func (k *keyCalls) wouldRevoke(cmd *cobra.Command, in selection) error {
	asked := in.DryRun
	in.DryRun = true
	many, err := k.revocations(cmd, in)
	if err != nil {
		return err
	}
	count := strconv.Itoa(many.Count)
	if many.More {
		count = "more than " + count
	}
	if !asked {
		return errors.New("nothing was revoked: --dry-run lists the keys that are meant (" + count + "), and --yes revokes them")
	}
	if err := k.showMany(cmd, many); err != nil || !many.More {
		return err
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "There are more: these are the newest.")
	return err
}

// revokeMany revokes a call's keys after another's, until there are none.
func (k *keyCalls) revokeMany(cmd *cobra.Command, in selection) error {
	if _, err := k.json(); err != nil { // before there is nothing to be done about it
		return err
	}
	all := revokedMany{Keys: []json.RawMessage{}}
	for more := true; more; {
		many, err := k.revocations(cmd, in)
		if err != nil {
			return errors.Join(err, k.afterAll(cmd, all))
		}
		all.Keys = append(all.Keys, many.Keys...)
		if all.Count, more = len(all.Keys), many.More; more {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d keys are revoked; going on.\n", all.Count)
		}
	}
	return k.showMany(cmd, all)
}

// afterAll shows what was revoked before a call failed, which may have revoked some, too.
func (k *keyCalls) afterAll(cmd *cobra.Command, done revokedMany) error {
	if done.Count == 0 {
		return nil
	}
	done.More = true
	return errors.Join(fmt.Errorf("%d keys were revoked before that; say it again for the others", done.Count), k.showMany(cmd, done))
}

func (k *keyCalls) showMany(cmd *cobra.Command, many revokedMany) error {
	text, err := json.Marshal(many)
	if err != nil {
		return err
	}
	keys := make([]keyView, len(many.Keys))
	for i, key := range many.Keys {
		if err := json.Unmarshal(key, &keys[i]); err != nil {
			return fmt.Errorf("the server's answer does not read: %w", err)
		}
	}
	if asJSON, err := k.json(); err == nil && !asJSON && len(keys) == 0 {
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), "No keys.")
		return err
	}
	return k.show(cmd, text, keyTable(keys))
}
