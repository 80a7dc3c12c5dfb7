package main

import (
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/api"
	"github.com/burnkey/burnkey/store"
)

func auditCommand() *cobra.Command {
	var c client
	out := output{more: []string{"csv"}}
	cmd := group("audit", "Look at who did what, on a running server")
	c.flags(cmd)
	out.flag(cmd)
	cmd.AddCommand(auditListCommand(&c, &out))
	return cmd
}

func auditListCommand(c *client, out *output) *cobra.Command {
	var workspace string
	var since, until moment
	limit := 100
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what happened in a workspace, the latest first",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := filters(cmd.Flags(), map[string]string{
				"owner": "owner", "key-id": "key", "action": "action", "actor": "actor", "result": "result",
			})
			if err != nil {
				return err
			}
			for name, value := range map[string]string{"since": since.query(), "until": until.query()} {
				if value != "" {
					values.Set(name, value)
				}
			}
			found, err := list[api.Entry](cmd.Context(), c, "/v1/workspaces/"+url.PathEscape(workspace)+"/audit", values, "entries", limit)
			if err != nil {
				return err
			}
			return showAudit(cmd, out, found)
		},
	}
	workspaceFlag(cmd, &workspace)
	flags := cmd.Flags()
	flags.String("owner", "", "about this owner's keys")
	flags.String("key-id", "", "about the key with this `ID`") // not --key: BURNKEY_KEY is the credential
	flags.String("action", "", "this action, such as key.revoke")
	flags.String("actor", "", "by this key or session")
	flags.String("result", "", "ok or refused")
	flags.Var(&since, "since", "at this time or later: 2026-01-31T12:00:00Z, 2026-01-31, or 30d for so long ago")
	flags.Var(&until, "until", "before this time, given likewise")
	flags.IntVar(&limit, "limit", limit, "at most so many; 0: all")
	_ = cmd.RegisterFlagCompletionFunc("action", cobra.FixedCompletions(store.Actions(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("result", cobra.FixedCompletions([]string{store.ResultOK, store.ResultRefused}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func showAudit(cmd *cobra.Command, out *output, found *listing[api.Entry]) error {
	if out.format == "csv" {
		entries := make([]store.Entry, len(found.items))
		for i := range entries {
			var err error
			if entries[i], err = kept(&found.items[i]); err != nil {
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
			when(&e.At), string(e.Action), e.Result, e.Key, e.Owner, strings.TrimSpace(e.Actor.Kind + " " + e.Actor.ID), e.Actor.From,
			short(string(e.Detail)),
		})
	}
	return found.show(cmd, out, rows)
}

// kept is an entry as the writer of CSV takes it.
func kept(e *api.Entry) (store.Entry, error) {
	entry := store.Entry{
		At: e.At, Actor: store.Actor{Kind: e.Actor.Kind, ID: e.Actor.ID, From: e.Actor.From}, Action: string(e.Action),
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

// short cuts a text that would fill more than a line.
func short(text string) string { return clipped(text, 80) }

func clipped(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
