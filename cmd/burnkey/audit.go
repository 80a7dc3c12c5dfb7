package main

import (
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/store"
)

func auditCommand() *cobra.Command {
	var r remote
	out := output{more: []string{"csv"}}
	cmd := group("audit", "Look at who did what, on a running server")
	r.flags(cmd)
	out.flag(cmd)
	cmd.AddCommand(auditListCommand(&r, &out))
	return cmd
}

func auditListCommand(r *remote, out *output) *cobra.Command {
	var workspace string
	var f client.AuditFilter
	var since, until moment
	limit := 100
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what happened in a workspace, the latest first",
		Args:  noArgs,
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if err := notBlank(cmd.Flags(), "owner", "key-id", "action", "actor", "result"); err != nil {
				return err
			}
			f.Since, f.Until = since.at, until.at
			found, err := list(cmd.Context(), c.Audit(workspace, f), limit, "entries", func(e *client.Entry) client.Secret { return e.Raw })
			if err != nil {
				return err
			}
			return showAudit(cmd, out, found)
		}),
	}
	workspaceFlag(cmd, &workspace)
	flags := cmd.Flags()
	flags.StringVar(&f.Owner, "owner", "", "about this owner's keys")
	flags.StringVar(&f.Key, "key-id", "", "about the key with this `ID`") // not --key: BURNKEY_KEY is the credential
	flags.StringVar(&f.Action, "action", "", "this action, such as key.revoke")
	flags.StringVar(&f.Actor, "actor", "", "by this key or session")
	flags.StringVar(&f.Result, "result", "", "ok or refused")
	flags.Var(&since, "since", "at this time or later: 2026-01-31T12:00:00Z, 2026-01-31, or 30d for an age")
	flags.Var(&until, "until", "before this time, in the same forms")
	flags.IntVar(&limit, "limit", limit, "maximum number of entries; 0: all")
	_ = cmd.RegisterFlagCompletionFunc("action", cobra.FixedCompletions(store.Actions(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("result",
		cobra.FixedCompletions([]string{store.ResultOK, store.ResultRefused}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func showAudit(cmd *cobra.Command, out *output, found *listing[client.Entry]) error {
	if out.format == "csv" {
		entries := make([]store.Entry, len(found.items))
		for i := range entries {
			var err error
			if entries[i], err = stored(&found.items[i]); err != nil {
				return err
			}
		}
		if err := authz.WriteAuditCSV(cmd.OutOrStdout(), entries); err != nil {
			return err
		}
		return found.hint(cmd)
	}
	rows := [][]string{{"AT", "ACTION", "RESULT", "KEY", "OWNER", "WHO", "FROM", "DETAIL"}}
	for i := range found.items {
		e := &found.items[i]
		rows = append(rows, []string{
			when(&e.At), e.Action, e.Result, e.Key, e.Owner, strings.TrimSpace(e.Actor.Kind + " " + e.Actor.ID), e.Actor.From,
			short(string(e.Detail)),
		})
	}
	return found.show(cmd, out, rows)
}

// stored converts an entry for the writer of CSV.
func stored(e *client.Entry) (store.Entry, error) {
	entry := store.Entry{
		At: e.At, Actor: store.Actor{Kind: e.Actor.Kind, ID: e.Actor.ID, From: e.Actor.From}, Action: e.Action,
		Owner: e.Owner, Result: e.Result, Detail: []byte(e.Detail),
	}
	var err error
	if entry.ID, err = uuid.Parse(e.ID); err != nil {
		return entry, err
	}
	if e.Key != "" {
		entry.Key, err = uuid.Parse(e.Key)
	}
	return entry, err
}

// short shortens a text to less than a line.
func short(text string) string { return clipped(text, 80) }

func clipped(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
