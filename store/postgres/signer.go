package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	// insertSigner comes after the statement raise, so that it counts what was committed while raise waited for the lock.
	// With too many signers, the change's modulus is NULL, which the column refuses.
	insertSigner = `WITH raised AS (
			SELECT version FROM workspaces WHERE id = $1
		), stored AS (
			INSERT INTO signers (workspace, ` + rows.SignerColumns + `) SELECT $1, $2, $4, $5, $6 FROM raised
		), published AS (
			INSERT INTO jwks (workspace, kid, n) SELECT $1, $2, $3 FROM raised
		), logged AS (
			INSERT INTO changes (workspace, version, added, removed)
			SELECT $1, version, CASE WHEN (SELECT count(*) FROM signers WHERE workspace = $1) < $7 THEN $3::bytea END, '' FROM raised
		)
		SELECT version FROM raised`
	selectSigners = `SELECT ` + rows.SignerColumns + ` FROM signers WHERE workspace = $1 ORDER BY remove_at, kid`
	endSigners    = `UPDATE signers SET ends_at = least(ends_at, $3), remove_at = least(remove_at, $4)
		WHERE workspace = $1 AND kid = ANY ($2)`
	selectSignersDue = `SELECT DISTINCT workspace FROM signers WHERE remove_at <= $1 LIMIT $2`
	// lockVersion comes before deleteSigners in one transaction, as the lock of all changes of a set.
	deleteSigners = `WITH removed AS (
			DELETE FROM signers WHERE workspace = $1 AND remove_at <= $2 RETURNING kid
		), withdrawn AS (
			DELETE FROM jwks USING removed WHERE jwks.workspace = $1 AND jwks.kid = removed.kid RETURNING jwks.kid
		), raised AS (
			UPDATE workspaces SET version = version + 1,
				fingerprint = fingerprint # coalesce((SELECT bit_xor(('x' || encode(kid, 'hex'))::bit(256)) FROM withdrawn), repeat('0', 256)::bit(256))
			WHERE id = $1 AND EXISTS (SELECT FROM removed) RETURNING version
		), logged AS (
			INSERT INTO changes (workspace, version, added, removed)
			SELECT $1, version, '', (SELECT coalesce(string_agg(kid, ''::bytea ORDER BY kid), '') FROM withdrawn) FROM raised
		)
		SELECT version, (SELECT array_agg(kid ORDER BY kid) FROM withdrawn) FROM raised`
	// The condition is that of the index. A quotation mark within a text of JSON is escaped, so no text satisfies it.
	selectExchanging = `SELECT id, policy FROM workspaces WHERE policy LIKE '%"exchange":{"enabled":true%' ORDER BY id LIMIT $1`
	// selectForExchange reads one state of the database, since it is one statement.
	selectForExchange = `SELECT (SELECT policy FROM workspaces WHERE workspaces.id = keys.workspace), ` + rows.KeyColumns + `
		FROM keys WHERE workspace = $1 AND kid = $2`
)

// PublishSigner implements store.Store.
func (s *Store) PublishSigner(ctx context.Context, signer store.Signer, pub jwks.Key) (version uint64, err error) {
	kid := pub.KID()
	args := []any{
		signer.Workspace, kid[:], pub.Modulus(), signer.UsableAt.UnixMicro(), signer.EndsAt.UnixMicro(), signer.RemoveAt.UnixMicro(),
		store.MaxSigners,
	}
	err = s.write(ctx, signer.Workspace, func(ctx context.Context, c conn) error {
		return raising(ctx, c, signer.Workspace, []jwks.KID{kid}, func(r pgx.BatchResults) error {
			return rows.NotFound(r.QueryRow().Scan(&version))
		}, statement{insertSigner, args})
	})
	switch {
	case isCode(err, uniqueViolation):
		err = store.ErrDuplicateKID
	case isCode(err, notNullViolation):
		err = store.ErrTooMany
	}
	if err != nil {
		return 0, wrap(ctx, "publish signer", err)
	}
	s.notifier.notify(signer.Workspace)
	return version, nil
}

// Signers implements store.Store.
func (s *Store) Signers(ctx context.Context, workspace string) (list []store.Signer, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		found, _ := c.Query(ctx, selectSigners, workspace) // its error is found.Err
		list, err = pgx.CollectRows(found, func(row pgx.CollectableRow) (store.Signer, error) {
			signer := store.Signer{Workspace: workspace}
			return signer, row.Scan(rows.Signer(&signer)...)
		})
		return err
	})
	return list, wrap(ctx, "list signers", err)
}

// EndSigners implements store.Store.
func (s *Store) EndSigners(ctx context.Context, workspace string, kids []jwks.KID, ends, remove time.Time) error {
	ids := make([][]byte, len(kids))
	for i := range kids {
		ids[i] = kids[i][:]
	}
	return wrap(ctx, "end signers", s.write(ctx, workspace, func(ctx context.Context, c conn) error {
		_, err := c.Exec(ctx, endSigners, workspace, ids, ends.UnixMicro(), remove.UnixMicro())
		return err
	}))
}

// SignersDue implements store.Store.
func (s *Store) SignersDue(ctx context.Context, at time.Time, limit int) (workspaces []string, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		found, _ := c.Query(ctx, selectSignersDue, at.UnixMicro(), limit) // its error is found.Err
		workspaces, err = pgx.CollectRows(found, pgx.RowTo[string])
		return err
	})
	return workspaces, wrap(ctx, "list signers to remove", err)
}

// RemoveSigners implements store.Store.
func (s *Store) RemoveSigners(ctx context.Context, workspace string, at time.Time) (kids []jwks.KID, version uint64, err error) {
	var raw [][]byte
	err = s.write(ctx, workspace, inTx(func(ctx context.Context, t pgx.Tx) error {
		kids, version = nil, 0
		if _, err := t.Exec(ctx, lockVersion, workspace); err != nil {
			return err
		}
		err := rows.NotFound(t.QueryRow(ctx, deleteSigners, workspace, at.UnixMicro()).Scan(&version, &raw))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	}))
	if err != nil || version == 0 {
		return nil, 0, wrap(ctx, "remove signers", err)
	}
	for _, kid := range raw {
		kids = append(kids, jwks.KID(kid))
	}
	s.notifier.notify(workspace)
	return kids, version, nil
}

// Exchanging implements store.Store.
func (s *Store) Exchanging(ctx context.Context, limit int) (list []store.Exchanging, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		found, _ := c.Query(ctx, selectExchanging, limit) // its error is found.Err
		list, err = pgx.CollectRows(found, func(row pgx.CollectableRow) (e store.Exchanging, err error) {
			var policy store.Policy
			err = row.Scan(&e.Workspace, rows.Policy(&policy))
			e.Exchange = policy.Exchange
			return e, err
		})
		return err
	})
	return list, wrap(ctx, "list workspaces with an exchange", err)
}

// KeyForExchange implements store.Store.
func (s *Store) KeyForExchange(ctx context.Context, workspace string, kid jwks.KID) (k store.Key, policy store.Policy, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		k, err = scanKey(workspace, c.QueryRow(ctx, selectForExchange, workspace, kid[:]), rows.Policy(&policy))
		return err
	})
	if err != nil {
		return store.Key{}, store.Policy{}, wrap(ctx, "read key for exchange", err)
	}
	return k, policy, nil
}
