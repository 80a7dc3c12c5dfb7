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
	var in selection
	cmd := &cobra.Command{
		Use:   "revoke-many",
		Short: "Revoke all keys of an owner, with a scope or plan, of an age, or long unused",
		Long: "Revoke the active and suspended keys, and old keys in their grace, that match all given flags. --dry-run only lists\n" +
			"them; --yes revokes them. In the workspace burnkey, your own management key is left out.",
		Example: "  burnkey key revoke-many -w acme --owner cust_1 --dry-run\n" +
			"  burnkey key revoke-many -w acme --scope maps:write --created-before 365d --yes\n" +
			"  burnkey key revoke-many -w acme --unused-for 90d --dry-run",
		Args: noArgs,
		RunE: k.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			return k.many(cmd, &in, "revoked", func(s client.Selection) (*client.RevokedKeys, error) {
				return c.RevokeKeys(cmd.Context(), k.workspace, s)
			})
		}),
	}
	in.flags(cmd, "scope", "plan", "revoke them")
	return cmd
}

// selection selects keys by flags.
type selection struct {
	client.Selection
	before moment
	unused span
	yes    bool
	texts  []string // names of flags whose value must not be empty
}

// flags adds the flags. The names of two can differ, since other flags of a command can have them.
func (s *selection) flags(cmd *cobra.Command, scope, plan, yes string) {
	flags := cmd.Flags()
	flags.StringVar(&s.Owner, "owner", "", "keys of this owner")
	flags.StringVar(&s.Scope, scope, "", "keys with this scope")
	flags.StringVar(&s.Plan, plan, "", "keys with this plan")
	flags.Var(&s.before, "created-before", "keys created before this time: 2026-01-31T12:00:00Z, 2026-01-31, or 30d for an age")
	flags.Var(&s.unused, "unused-for",
		"keys created and, as far as gateways report, last used longer ago than this: 2160h or 90d; at least 24h")
	flags.BoolVar(&s.DryRun, "dry-run", false, "only list these keys")
	flags.BoolVar(&s.yes, "yes", false, yes)
	s.texts = []string{"owner", scope, plan}
	oneRequired(cmd, "owner", scope, plan, "created-before", "unused-for")
	exclusive(cmd, "dry-run", "yes")
}

// many calls the server for the selected keys. done says what it does, such as "revoked".
func (k *calls) many(cmd *cobra.Command, in *selection, done string, call func(client.Selection) (*client.RevokedKeys, error)) error {
	if err := notEmpty(cmd.Flags(), in.texts...); err != nil {
		return err
	}
	in.CreatedBefore = in.before.at
	if in.unused.value > 0 {
		in.UnusedFor = in.unused.value.String()
	}
	if in.DryRun || !in.yes {
		return k.onlyList(cmd, in.Selection, done, call)
	}
	return k.untilNone(cmd, in.Selection, done, call)
}

// onlyList lists the selected keys. Without --dry-run it returns an error with their number only.
func (k *calls) onlyList(cmd *cobra.Command, in client.Selection, done string,
	call func(client.Selection) (*client.RevokedKeys, error),
) error {
	asked := in.DryRun
	in.DryRun = true
	selected, err := call(in)
	if err != nil {
		return err
	}
	count := strconv.Itoa(selected.Count)
	if selected.More {
		count = "more than " + count
	}
	if !asked {
		return errors.New("nothing was " + done + ": --dry-run lists the selected keys (" + count + "), and --yes is needed for the change")
	}
	if err := k.showMany(cmd, selected); err != nil || !selected.More {
		return err
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "There are more: these are the newest.")
	return err
}

// untilNone repeats the call until no selected key remains.
func (k *calls) untilNone(cmd *cobra.Command, in client.Selection, done string,
	call func(client.Selection) (*client.RevokedKeys, error),
) error {
	if err := k.check(); err != nil { // now, while nothing is changed yet
		return err
	}
	all := new(client.RevokedKeys)
	for more := true; more; {
		some, err := call(in)
		if err != nil && all.Count > 0 {
			all.More = true
			before := fmt.Errorf("%d keys were %s before that; repeat the command for the others", all.Count, done)
			err = errors.Join(err, before, k.showMany(cmd, all))
		}
		if err != nil {
			return err
		}
		all.Keys = append(all.Keys, some.Keys...)
		if all.Count, more = len(all.Keys), some.More; more {
			fmt.Fprintf(cmd.ErrOrStderr(), "%d keys are %s so far.\n", all.Count, done)
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
