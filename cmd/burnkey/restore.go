package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/burnkey/burnkey/store"
)

// restore makes a database that was restored from a backup safe to serve.
type restore struct {
	database, from string
	audits, states []string
	yes            bool

	in          io.Reader
	out, stderr io.Writer
}

func restoreCommand() *cobra.Command {
	var r restore
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make a restored database safe to serve",
		Long: "Prepare a database that was restored from a backup, before a server uses it. In the backup, keys that were revoked\n" +
			"later are still valid. The command lists what is known to have happened after the backup: from the database that was\n" +
			"in use (--from), from lists of the audit (--audit), and from state files of gateways (--state). After you confirm, it\n" +
			"revokes, suspends and changes these keys again, ends all sessions of the portal, and raises the versions of all\n" +
			"workspaces past those that were in use, so that every gateway fetches its keys again.",
		Example: "  burnkey restore --database sqlite:burnkey.db --from sqlite:old/burnkey.db\n" +
			"  burnkey restore --database postgres://…/restored --audit since.csv --state /var/lib/burnkey/feed.jwks --yes",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r.in, r.out, r.stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			if err := notEmpty(cmd.Flags(), "from", "audit", "state"); err != nil {
				return err
			}
			return r.run(cmd.Context())
		},
	}
	databaseFlag(cmd, &r.database)
	flags := cmd.Flags()
	flags.StringVar(&r.from, "from", "", "`URL` of the database that was in use before the restore, if it can still be read")
	flags.StringSliceVar(&r.audits, "audit", nil, "`FILE` written by burnkey audit list (csv or json) or admin cut-audit; may be repeated")
	flags.StringSliceVar(&r.states, "state", nil, "state `FILE` of a gateway: feed.jwks, or WORKSPACE.jwks; may be repeated")
	flags.BoolVar(&r.yes, "yes", false, "change the database without asking")
	return cmd
}

func (r *restore) run(ctx context.Context) (err error) {
	st, err := openExisting(ctx, "database", r.database, r.stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	workspaces, err := workspacesOf(ctx, st)
	if err != nil {
		return err
	}
	p := newRestorePlan(st, workspaces, time.Now())
	if err := r.gather(ctx, p); err != nil {
		return err
	}
	if rows := p.rows(); len(rows) > 1 {
		if err := table(r.out, rows); err != nil {
			return err
		}
	}
	if err := r.summarize(ctx, p); err != nil {
		return err
	}
	if err := r.confirm(); err != nil {
		return err
	}
	return r.apply(store.By(ctx, store.Actor{Kind: store.ActorCLI}), st, p)
}

// gather reads all sources into the plan.
func (r *restore) gather(ctx context.Context, p *restorePlan) error {
	if r.from != "" {
		if err := r.readFrom(ctx, p); err != nil {
			return err
		}
	}
	if err := p.readAudits(ctx, r.audits); err != nil {
		return fmt.Errorf("--audit: %w", err)
	}
	for _, file := range r.states {
		if err := p.readState(ctx, file); err != nil {
			return fmt.Errorf("--state: %w", err)
		}
	}
	return nil
}

// readFrom reads the database that was in use. It refuses the restored one, in which nothing has happened since the backup.
func (r *restore) readFrom(ctx context.Context, p *restorePlan) error {
	if sameDatabase(r.database, r.from) {
		return errors.New("--from: must not be the same as --database, but the database that was in use before the restore")
	}
	old, err := openExisting(ctx, "from", r.from, r.stderr)
	if err != nil {
		return err
	}
	if err := errors.Join(p.readDatabase(ctx, old), old.Close()); err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	return nil
}

// summarize prints the number of keys for each action, and the time of the latest audit entry.
func (r *restore) summarize(ctx context.Context, p *restorePlan) error {
	latest, err := p.latestEntry(ctx)
	if err != nil {
		return err
	}
	if !latest.IsZero() {
		fmt.Fprintf(r.stderr, "Latest audit entry in this database: %s\n", when(&latest))
	}
	if r.from == "" && len(r.audits) == 0 && len(r.states) == 0 {
		fmt.Fprintln(r.stderr, "Without --from, --audit or --state, keys that were revoked after the backup stay valid.")
	}
	fmt.Fprintf(r.stderr, "Keys to revoke: %d, to change: %d, for you to check: %d, lost: %d.\n"+
		"In all %d workspaces, sessions end and versions rise.\n",
		p.count(actRevoke), p.count(actChange), p.count(actCheck), p.count(actLost), len(p.workspaces))
	return nil
}

// confirm returns an error unless the user agrees.
func (r *restore) confirm() error {
	if r.yes {
		return nil
	}
	in, ok := r.in.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return errors.New("nothing was changed: --yes is needed without a terminal")
	}
	fmt.Fprint(r.stderr, "Do this? [y/N] ")
	answer, err := bufio.NewReader(r.in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was changed")
	}
	return nil
}

// apply makes the changes. After a failure it can be repeated: servers refuse the database until Settle.
func (r *restore) apply(ctx context.Context, st store.Store, p *restorePlan) error {
	if err := p.repair(ctx, r.stderr); err != nil {
		return err
	}
	for _, w := range p.workspaces {
		if _, err := st.EndSessions(ctx, w.ID, "", p.now); err != nil {
			return err
		}
		for more := true; more; {
			var err error
			if more, err = st.Compact(ctx, w.ID, math.MaxInt64); err != nil {
				return err
			}
		}
		if _, err := st.Leap(ctx, w.ID, p.now); err != nil {
			return err
		}
	}
	if err := st.Settle(ctx, true); err != nil {
		return err
	}
	_, err := fmt.Fprintln(r.stderr, "Done. Servers can use the database.")
	return err
}

// workspacesOf returns all workspaces, by id.
func workspacesOf(ctx context.Context, st store.Store) (list []store.Workspace, err error) {
	for f := (store.WorkspaceFilter{Limit: pageOfRestore}); ; {
		page, next, err := st.Workspaces(ctx, f)
		if err != nil {
			return nil, err
		}
		list = append(list, page...)
		if next == "" {
			return list, nil
		}
		f.After = next
	}
}
