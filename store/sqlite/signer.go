package sqlite

import (
	"context"
	"time"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	insertSigner     = `INSERT INTO signers (workspace, ` + rows.SignerColumns + `) VALUES (?, ?, ?, ?, ?)`
	countSigners     = `SELECT count(*) FROM signers WHERE workspace = ?`
	selectSigners    = `SELECT ` + rows.SignerColumns + ` FROM signers WHERE workspace = ? ORDER BY remove_at, kid`
	endSigner        = `UPDATE signers SET ends_at = min(ends_at, ?), remove_at = min(remove_at, ?) WHERE workspace = ? AND kid = ?`
	selectSignersDue = `SELECT DISTINCT workspace FROM signers WHERE remove_at <= ? LIMIT ?`
	selectRemovable  = `SELECT kid FROM signers WHERE workspace = ? AND remove_at <= ? ORDER BY kid`
	deleteSigner     = `DELETE FROM signers WHERE workspace = ? AND kid = ?`
	selectExchanging = `SELECT workspace, policy FROM settings WHERE policy ->> '$.exchange.enabled' ORDER BY workspace LIMIT ?`
	// selectForExchange reads one state of the database, since it is one statement.
	selectForExchange = `SELECT (SELECT policy FROM settings WHERE settings.workspace = keys.workspace), ` + rows.KeyColumns + `
		FROM keys WHERE workspace = ? AND kid = ?`
)

// PublishSigner implements store.Store.
func (s *Store) PublishSigner(ctx context.Context, signer store.Signer, pub jwks.Key) (version uint64, err error) {
	kid := pub.KID()
	err = s.write(ctx, func(t *tx) (err error) {
		if version, err = raiseVersion(t, signer.Workspace); err != nil {
			return err
		}
		if err := publish(t, signer.Workspace, pub, jwks.Attributes{}); err != nil {
			return err
		}
		var n int
		if err := t.row(countSigners, signer.Workspace).Scan(&n); err != nil {
			return err
		}
		if n >= store.MaxSigners {
			return store.ErrTooMany
		}
		if _, err := t.exec(insertSigner, signer.Workspace, kid[:], signer.UsableAt.UnixMicro(), signer.EndsAt.UnixMicro(),
			signer.RemoveAt.UnixMicro()); err != nil {
			return err
		}
		return logChange(t, signer.Workspace, jwks.Change{Version: version, Add: []jwks.Key{pub}})
	})
	return orZero(version, wrap(ctx, "publish signer", err))
}

// Signers implements store.Store.
func (s *Store) Signers(ctx context.Context, workspace string) ([]store.Signer, error) {
	list := []store.Signer{}
	signer := store.Signer{Workspace: workspace}
	for err := range s.query(ctx)(rows.Signer(&signer), selectSigners, workspace) {
		if err != nil {
			return nil, wrap(ctx, "list signers", err)
		}
		list = append(list, signer)
	}
	return list, nil
}

// EndSigners implements store.Store.
func (s *Store) EndSigners(ctx context.Context, workspace string, kids []jwks.KID, ends, remove time.Time) error {
	return wrap(ctx, "end signers", s.write(ctx, func(t *tx) error {
		for _, kid := range kids {
			if _, err := t.exec(endSigner, ends.UnixMicro(), remove.UnixMicro(), workspace, kid[:]); err != nil {
				return err
			}
		}
		return nil
	}))
}

// SignersDue implements store.Store.
func (s *Store) SignersDue(ctx context.Context, at time.Time, limit int) (workspaces []string, err error) {
	var workspace string
	for err := range s.query(ctx)([]any{&workspace}, selectSignersDue, at.UnixMicro(), limit) {
		if err != nil {
			return nil, wrap(ctx, "list signers to remove", err)
		}
		workspaces = append(workspaces, workspace)
	}
	return workspaces, nil
}

// RemoveSigners implements store.Store.
func (s *Store) RemoveSigners(ctx context.Context, workspace string, at time.Time) (kids []jwks.KID, version uint64, err error) {
	err = s.write(ctx, func(t *tx) error {
		kids, version = nil, 0
		var kid []byte
		for err := range t.query([]any{&kid}, selectRemovable, workspace, at.UnixMicro()) {
			if err != nil {
				return err
			}
			kids = append(kids, jwks.KID(kid))
		}
		if len(kids) == 0 {
			return nil
		}
		if version, err = raiseVersion(t, workspace); err != nil {
			return err
		}
		for _, kid := range kids {
			for _, query := range []string{deleteSigner, deleteJWK} {
				if _, err := t.exec(query, workspace, kid[:]); err != nil {
					return err
				}
			}
		}
		return logChange(t, workspace, jwks.Change{Version: version, Remove: kids})
	})
	if err != nil {
		return nil, 0, wrap(ctx, "remove signers", err)
	}
	return kids, version, nil
}

// Exchanging implements store.Store.
func (s *Store) Exchanging(ctx context.Context, limit int) ([]store.Exchanging, error) {
	list := []store.Exchanging{}
	var (
		workspace string
		policy    store.Policy
	)
	for err := range s.query(ctx)([]any{&workspace, rows.Policy(&policy)}, selectExchanging, limit) {
		if err != nil {
			return nil, wrap(ctx, "list workspaces with an exchange", err)
		}
		list = append(list, store.Exchanging{Workspace: workspace, Exchange: policy.Exchange})
		policy = store.Policy{}
	}
	return list, nil
}

// KeyForExchange implements store.Store.
func (s *Store) KeyForExchange(ctx context.Context, workspace string, kid jwks.KID) (store.Key, store.Policy, error) {
	k, policy := store.Key{Workspace: workspace}, store.Policy{}
	row := s.reads.row(ctx, s.reader, selectForExchange, workspace, kid[:])
	if err := rows.NotFound(row.Scan(append([]any{rows.Policy(&policy)}, dialect.Key(&k)...)...)); err != nil {
		return store.Key{}, store.Policy{}, wrap(ctx, "read key for exchange", err)
	}
	return k, policy, nil
}
