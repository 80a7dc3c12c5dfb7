package main

import (
	"io"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/store"
)

func auditCommand() *cobra.Command {
	k := calls{output: output{csv: func(io.Writer) error { return nil }}}
	return k.group("audit", "Show who did what, on a running server", k.inWorkspace(auditListCommand(&k))...)
}

func auditListCommand(k *calls) *cobra.Command {
	var f client.AuditFilter
	var since, until moment
	rows := func(entries []client.Entry) [][]string {
		k.csv = func(w io.Writer) error { return writeCSV(w, entries) }
		return auditTable(entries)
	}
	cmd := listCommand(k, "entries", "List what happened in a workspace, the latest first", rows,
		func(cmd *cobra.Command, c *client.Client) (client.List[client.Entry], error) {
			f.Since, f.Until = since.at, until.at
			return c.Audit(k.workspace, f), notEmpty(cmd.Flags(), "owner", "key-id", "action", "actor", "result")
		})
	flags := cmd.Flags()
	flags.StringVar(&f.Owner, "owner", "", "only entries about this owner's keys")
	flags.StringVar(&f.Key, "key-id", "", "only entries about the key with this `ID`") // not --key: BURNKEY_KEY is the credential
	flags.StringVar(&f.Action, "action", "", "only this action, such as key.revoke")
	flags.StringVar(&f.Actor, "actor", "", "only actions by this key or session")
	flags.StringVar(&f.Result, "result", "", "only this result: ok or refused")
	flags.Var(&since, "since", "only entries at this time or later: 2026-01-31T12:00:00Z, 2026-01-31, or 30d for an age")
	flags.Var(&until, "until", "only entries before this time, in the same forms")
	choices(cmd, "action", store.Actions()...)
	choices(cmd, "result", store.ResultOK, store.ResultRefused)
	return cmd
}

func auditTable(entries []client.Entry) [][]string {
	rows := [][]string{{"AT", "ACTION", "RESULT", "KEY", "OWNER", "WHO", "FROM", "DETAIL"}}
	for i := range entries {
		e := &entries[i]
		who := strings.TrimSpace(e.Actor.Kind + " " + e.Actor.ID)
		rows = append(rows, []string{when(&e.At), e.Action, e.Result, e.Key, e.Owner, who, e.Actor.From, clipped(string(e.Detail), 80)})
	}
	return rows
}

func writeCSV(w io.Writer, entries []client.Entry) error {
	all := make([]store.Entry, len(entries))
	for i := range entries {
		var err error
		if all[i], err = stored(&entries[i]); err != nil {
			return err
		}
	}
	return authz.WriteAuditCSV(w, all)
}

// stored converts an entry to the type that the CSV writer takes.
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

func clipped(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
