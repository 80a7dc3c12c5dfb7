package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/store"
)

// youngestCut is the minimum age of entries to cut. Younger entries may still be needed, and the clocks of
// servers differ.
const youngestCut = 24 * time.Hour

// auditCut archives old audit entries and deletes them.
type auditCut struct {
	database, workspace, file string
	before                    moment
}

func auditCutCommand() *cobra.Command {
	var a auditCut
	cmd := &cobra.Command{
		Use:   "cut-audit",
		Short: "Archive old audit entries in a file, then delete them",
		Long: "Write the audit entries before a time to a new file, one JSON object per line, and delete them from the database\n" +
			"once the file is on the disk. Servers may keep running. Each cut adds an entry audit.cut.",
		Example: "  burnkey admin cut-audit --database sqlite:burnkey.db --before 365d --archive audit-2026.jsonl",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	databaseFlag(cmd, &a.database)
	flags := cmd.Flags()
	flags.StringVarP(&a.workspace, "workspace", "w", "", "only entries of this workspace (default all workspaces)")
	flags.Var(&a.before, "before", "cut entries before this time: 2026-01-31T12:00:00Z, 2026-01-31, or 365d for an age; at least 24h ago")
	flags.StringVar(&a.file, "archive", "", "new `FILE` for the entries")
	require(cmd, "before", "archive")
	return cmd
}

func (a *auditCut) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	if time.Since(a.before.at) < youngestCut {
		return errors.New("--before: must be at least 24h ago")
	}
	st, err := openExisting(ctx, "database", a.database, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	workspaces, err := a.workspaces(ctx, st)
	if err != nil {
		return err
	}
	archived, err := a.archive(ctx, st, workspaces)
	if err != nil {
		return err
	}
	ctx = store.By(ctx, store.Actor{Kind: store.ActorCLI})
	for _, workspace := range workspaces {
		n, err := a.cut(ctx, st, workspace, archived[workspace])
		if err != nil {
			return fmt.Errorf("the entries are in %s, but some were not deleted: %w", a.file, err)
		}
		fmt.Fprintf(stdout, "%s: %d entries\n", workspace, n)
	}
	return nil
}

// workspaces returns the ids of the workspaces whose audit to cut.
func (a *auditCut) workspaces(ctx context.Context, st store.Store) (ids []string, err error) {
	if a.workspace != "" {
		_, err := st.Workspace(ctx, a.workspace)
		if errors.Is(err, store.ErrNotFound) {
			err = fmt.Errorf("--workspace: no workspace %q", a.workspace)
		}
		return []string{a.workspace}, err
	}
	for f := (store.WorkspaceFilter{Limit: store.AuditCut}); ; {
		page, next, err := st.Workspaces(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, w := range page {
			ids = append(ids, w.ID)
		}
		if next == "" {
			return ids, nil
		}
		f.After = next
	}
}

// archive writes the entries to the file, syncs it, and returns the latest entry of each workspace.
func (a *auditCut) archive(ctx context.Context, st store.Store, workspaces []string) (latest map[string]uuid.UUID, err error) {
	file, err := os.OpenFile(a.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--archive: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	latest = make(map[string]uuid.UUID)
	out := bufio.NewWriter(file)
	for _, workspace := range workspaces {
		f := store.AuditFilter{Until: a.before.at, Limit: store.AuditCut, Bytes: authz.PageBytes}
		for more := true; more; more = f.After != uuid.Nil {
			page, next, err := st.Audit(ctx, workspace, f)
			if err != nil {
				return nil, err
			}
			for _, e := range page {
				if err := writeEntry(out, &e); err != nil {
					return nil, err
				}
			}
			if len(page) > 0 && f.After == uuid.Nil {
				latest[workspace] = page[0].ID
			}
			f.After = next
		}
	}
	return latest, errors.Join(out.Flush(), file.Sync())
}

// archivedEntry is a line of the archive.
type archivedEntry struct {
	Workspace string `json:"workspace"`
	client.Entry
}

func writeEntry(w io.Writer, e *store.Entry) error {
	line := archivedEntry{Workspace: e.Workspace, Entry: client.Entry{
		ID: e.ID.String(), At: e.At, Actor: client.Actor(e.Actor), Action: e.Action, Owner: e.Owner, Result: e.Result, Detail: e.Detail,
	}}
	if e.Key != uuid.Nil {
		line.Key = e.Key.String()
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(line)
}

// cut deletes the archived entries, up to the latest one.
func (a *auditCut) cut(ctx context.Context, st store.Store, workspace string, latest uuid.UUID) (count int, err error) {
	for n := store.AuditCut; n == store.AuditCut; count += n {
		if n, err = st.CutAudit(ctx, workspace, latest, a.before.at, time.Now()); err != nil {
			return count, err
		}
	}
	return count, nil
}
