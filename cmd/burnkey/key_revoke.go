package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/client"
)

func keyRevokeManyCommand(k *calls) *cobra.Command {
	var in client.Selection
	var before moment
	var unused span
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke-many",
		Short: "Revoke all keys of an owner, with a scope, of an age, or long unused",
		Long: "Revoke the active keys, and old keys in their grace, that match all given flags. --dry-run only lists them; --yes\n" +
			"revokes them. In the workspace burnkey, your own management key is left out.",
		Example: "  burnkey key revoke-many -w acme --owner cust_1 --dry-run\n" +
			"  burnkey key revoke-many -w acme --scope maps:write --created-before 365d --yes\n" +
			"  burnkey key revoke-many -w acme --unused-for 90d --dry-run",
		Args: noArgs,
		RunE: k.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if err := notEmpty(cmd.Flags(), "owner", "scope"); err != nil {
				return err
			}
			in.CreatedBefore = before.at
			if unused.value > 0 {
				in.UnusedFor = unused.value.String()
			}
			if in.DryRun || !yes {
				return k.wouldRevoke(cmd, c, in)
			}
			return k.revokeMany(cmd, c, in)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Owner, "owner", "", "keys of this owner")
	flags.StringVar(&in.Scope, "scope", "", "keys with this scope")
	flags.Var(&before, "created-before", "keys created before this time: 2026-01-31T12:00:00Z, 2026-01-31, or 30d for an age")
	flags.Var(&unused, "unused-for", "keys created and, as far as gateways report, last used longer ago than this: 2160h or 90d; at least 24h")
	flags.BoolVar(&in.DryRun, "dry-run", false, "only list the keys that would be revoked")
	flags.BoolVar(&yes, "yes", false, "revoke them")
	oneRequired(cmd, "owner", "scope", "created-before", "unused-for")
	exclusive(cmd, "dry-run", "yes")
	return cmd
}

// wouldRevoke lists the selected keys. Without --dry-run it returns an error with their number only.
func (k *calls) wouldRevoke(cmd *cobra.Command, c *client.Client, in client.Selection) error {
	asked := in.DryRun
	in.DryRun = true
	selected, err := c.RevokeKeys(cmd.Context(), k.workspace, in)
	if err != nil {
		return err
	}
	count := strconv.Itoa(selected.Count)
	if selected.More {
		count = "more than " + count
	}
	if !asked {
		return errors.New("nothing was revoked: --dry-run lists the selected keys (" + count + "), and --yes revokes them")
	}
	if err := k.showMany(cmd, selected); err != nil || !selected.More {
		return err
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "There are more: these are the newest.")
	return err
}

// revokeMany repeats the call until no selected key remains.
func (k *calls) revokeMany(cmd *cobra.Command, c *client.Client, in client.Selection) error {
	if err := k.check(); err != nil { // now, while nothing is revoked yet
		return err
	}
	all := new(client.RevokedKeys)
	for more := true; more; {
		some, err := c.RevokeKeys(cmd.Context(), k.workspace, in)
		if err != nil && all.Count > 0 {
			all.More = true
			done := fmt.Errorf("%d keys were revoked before that; repeat the command for the others", all.Count)
			err = errors.Join(err, done, k.showMany(cmd, all))
		}
		if err != nil {
			return err
		}
		all.Keys = append(all.Keys, some.Keys...)
		if all.Count, more = len(all.Keys), some.More; more {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d keys are revoked so far.\n", all.Count)
		}
	}
	return k.showMany(cmd, all)
}

func (k *calls) showMany(cmd *cobra.Command, many *client.RevokedKeys) error {
	keys := make([]json.RawMessage, len(many.Keys))
	for i := range keys {
		keys[i] = json.RawMessage(many.Keys[i].Text())
	}
	text, err := json.Marshal(struct {
		DryRun bool              `json:"dry_run"`
		Count  int               `json:"count"`
		More   bool              `json:"more"`
		Keys   []json.RawMessage `json:"keys"`
	}{many.DryRun, many.Count, many.More, keys})
	if err != nil {
		return err
	}
	if k.format == "table" && len(keys) == 0 {
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), "No keys.")
		return err
	}
	return k.show(cmd, string(text), keyTable(many.Keys))
}
