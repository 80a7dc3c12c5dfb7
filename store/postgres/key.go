package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	// insertKey is the part of a statement that inserts a key, its JWK and its audit entry, at the version in
	// the subquery raised. The arguments are keyArgs.
	insertKey = insertBegin + `NULL` + insertEnd
	// insertBegin and insertEnd come before and after the digest.
	insertBegin = `stored AS (
			INSERT INTO keys (workspace, ` + rows.KeyColumns + `)
			SELECT $1, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, NULL, version, NULL, $25, NULL, NULL, NULL, $26::bytea,
				$27::text, $28::text, $29::text, $30::text, $31::text, NULL, NULL, NULL, `
	insertEnd = `, NULL, NULL
			FROM raised
		), published AS (
			INSERT INTO jwks (workspace, kid, n, attributes) SELECT $1, $13, $24, $32::text FROM raised
		), audited AS (
			` + recordEntry + ` FROM raised
		)`
	// issueKey is one statement: one transaction and one round trip. The inserts read the subquery raised, so
	// the workspace's row is locked before anything else.
	issueKey = `WITH raised AS (
			UPDATE workspaces SET version = version + 1, fingerprint = fingerprint # ('x' || encode($13::bytea, 'hex'))::bit(256)
			WHERE id = $1 RETURNING version
		), ` + insertKey + `, logged AS (
			INSERT INTO changes (workspace, version, added, removed, unsigned) SELECT $1, version, $24, '', $33::text FROM raised
		)
		SELECT version FROM raised`
	// issueKeyWithin applies a limit of keys per owner. It comes after the statement raise in one transaction,
	// because it must see what was committed while raise waited for the lock. If the owner has too many keys,
	// the change's modulus is NULL, which the column refuses.
	issueKeyWithin = `WITH raised AS (
			SELECT version FROM workspaces WHERE id = $1
		), held AS (
			SELECT count(*) AS n FROM (SELECT FROM keys WHERE workspace = $1 AND owner = $14 AND ` + rows.Published + `
				AND rotated_to IS NULL AND (expires_at IS NULL OR expires_at > $34) LIMIT $35) AS k
		), ` + insertKey + `, logged AS (
			INSERT INTO changes (workspace, version, added, removed, unsigned)
			SELECT $1, version, CASE WHEN n < $35 THEN $24::bytea END, '', $33::text FROM raised, held
		)
		SELECT version FROM raised`
	// selectConflict finds what prevents a key from being issued, in the contract's order.
	selectConflict = `SELECT
		(SELECT id FROM keys WHERE workspace = $1 AND idempotency_key = $2),
		(SELECT request_digest FROM keys WHERE workspace = $1 AND idempotency_key = $2),
		EXISTS (SELECT FROM keys WHERE workspace = $1 AND kid = $3)
			OR EXISTS (SELECT FROM jwks WHERE workspace = $1 AND kid = $3),
		EXISTS (SELECT FROM keys WHERE workspace = $1 AND id = $4)`
	selectKeys           = `SELECT ` + rows.UsedKeyColumns + ` FROM keys WHERE `
	selectKey            = selectKeys + `workspace = $1 AND id = $2`
	lockKey              = selectKey + ` FOR NO KEY UPDATE`
	selectKeyKID         = selectKeys + `workspace = $1 AND kid = $2`
	selectKeyIdempotency = selectKeys + `workspace = $1 AND idempotency_key = $2`
	countActive          = `SELECT count(*) FROM (SELECT FROM keys WHERE workspace = $1 AND owner = $2 AND ` + rows.Published + `
		AND rotated_to IS NULL AND (expires_at IS NULL OR expires_at > $3) LIMIT $4) AS k`
)

// Issue implements store.Store.
func (s *Store) Issue(ctx context.Context, k store.Key, pub jwks.Key, terms store.Terms) (store.Key, error) {
	k = rows.NewKey(k, pub)
	if err := rows.Storable(k); err != nil {
		return store.Key{}, wrap(ctx, "issue key", err)
	}
	err := s.write(ctx, k.Workspace, underParent(&k, onTerms(k.Workspace, k.Plan, terms, func(ctx context.Context, c conn, limit int) error {
		if t, is := c.(pgx.Tx); is && k.Parent != uuid.Nil {
			if err := parents(ctx, t, k.Workspace).Adopt(&k); err != nil {
				return &refusedError{err}
			}
		}
		args := keyArgs(store.KeyIssued(ctx, k), k, pub.Modulus(), k.Issued())
		if limit > 0 {
			// Not rows.Micros: it makes the zero time NULL, and a comparison with NULL would not count keys
			// that can expire.
			return issueWithin(ctx, c, &k, append(args, k.CreatedAt.UnixMicro(), limit))
		}
		return c.QueryRow(ctx, issueKey, args...).Scan(&k.Version)
	})))
	var refused *refusedError
	switch {
	case isCode(err, uniqueViolation):
		err = s.conflict(ctx, k, err)
	case isCode(err, notNullViolation):
		err = s.conflict(ctx, k, store.ErrTooMany)
	case errors.As(err, &refused):
		if repeated := s.conflict(ctx, k, err); errors.Is(repeated, store.ErrIdempotencyKey) {
			err = repeated
		}
	}
	err = rows.NotFound(err)
	if errors.Is(err, store.ErrIdempotencyKey) {
		err = s.sure(ctx, err)
	}
	if err != nil {
		return store.Key{}, wrap(ctx, "issue key", err)
	}
	s.notifier.notify(k.Workspace)
	return k, nil
}

// refusedError wraps an error of terms, or of a missing plan.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// onTerms wraps do in a transaction that locks the workspace, calls terms with it and checks that it has the
// plan. Without terms and a plan there is no transaction and no limit.
func onTerms(workspace, plan string, terms store.Terms, do func(ctx context.Context, c conn, limit int) error) change {
	if terms == nil && plan == "" {
		return func(ctx context.Context, c conn) error { return do(ctx, c, 0) }
	}
	return inTx(func(ctx context.Context, t pgx.Tx) error {
		w, err := scanWorkspace(t.QueryRow(ctx, lockWorkspace, workspace))
		if err != nil {
			return err
		}
		limit := 0
		if terms != nil {
			limit, err = terms(&w)
		}
		if err == nil {
			err = asLocked(ctx, t, w, nil).HasPlan(workspace, plan)
		}
		if err != nil {
			return &refusedError{err}
		}
		return do(ctx, t, limit)
	})
}

func issueWithin(ctx context.Context, c conn, k *store.Key, args []any) error {
	return raising(ctx, c, k.Workspace, []jwks.KID{k.KID}, func(r pgx.BatchResults) error { return r.QueryRow().Scan(&k.Version) },
		statement{issueKeyWithin, args})
}

// keyArgs returns the arguments of a statement with insertKey. The arguments for the key are $12 to $33.
func keyArgs(e store.Entry, k store.Key, modulus []byte, u jwks.Unsigned) []any {
	args := append(dialect.EntryArgs(e), [16]byte(k.ID), k.KID[:], k.Owner, k.Name, k.Scopes, k.Audience,
		string(k.Claims), string(k.Metadata), rows.OrNull(k.IdempotencyKey), rows.Micros(k.CreatedAt), rows.Micros(k.UpdatedAt),
		rows.Micros(k.ExpiresAt), modulus, dialect.IDOrNull(k.RotatedFrom), rows.BytesOrNull(k.RequestDigest))
	args = append(args, rows.IssuedArgs(k)...)
	return append(args, rows.AttributesArg(k.Attributes()), rows.UnsignedArg(u))
}

// sure returns answer, which depends on another caller's commit, once that commit is durable.
func (s *Store) sure(ctx context.Context, answer error) error {
	if unsure := s.confirm(ctx); unsure != nil {
		return unsure // not wrapped with the answer, which would look final
	}
	return answer
}

// conflict returns the error for the unique field of k that prevented its insertion, or `otherwise` if no field
// did.
func (s *Store) conflict(ctx context.Context, k store.Key, otherwise error) error {
	return s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error { return conflict(ctx, c, k, otherwise) })
}

func conflict(ctx context.Context, c *pgxpool.Conn, k store.Key, otherwise error) error {
	var (
		earlier      uuid.UUID
		digest       []byte
		hadKID, isID bool
	)
	err := c.QueryRow(ctx, selectConflict, k.Workspace, k.IdempotencyKey, k.KID[:], [16]byte(k.ID)).
		Scan(dialect.IDInto(&earlier), &digest, &hadKID, &isID)
	switch {
	case err != nil:
		return err
	case earlier != uuid.Nil:
		return k.Repeated(earlier, digest)
	case hadKID:
		return store.ErrDuplicateKID
	case isID:
		return store.ErrExists
	default:
		return otherwise
	}
}

const (
	notNullViolation = "23502"
	uniqueViolation  = "23505"
	deadlockDetected = "40P01"
)

func isCode(err error, code string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == code
}

// Key implements store.Store.
func (s *Store) Key(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error) {
	k, err := s.key(ctx, workspace, id)
	return k, wrap(ctx, "read key", err)
}

func (s *Store) key(ctx context.Context, workspace string, id uuid.UUID) (k store.Key, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		k, err = scanUsed(workspace, c.QueryRow(ctx, selectKey, workspace, [16]byte(id)))
		return err
	})
	return k, err
}

// CountKeys implements store.Store.
func (s *Store) CountKeys(ctx context.Context, workspace, owner string, status store.Status, at time.Time, most int) (n int, err error) {
	query := countActive
	if status == store.Deprecated {
		query = selectInGrace
	}
	if most < 1 {
		return 0, wrap(ctx, "count keys", rows.ErrLimit)
	}
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		return c.QueryRow(ctx, query, workspace, owner, at.UnixMicro(), most).Scan(&n)
	})
	return n, wrap(ctx, "count keys", err)
}

// KeyByKID implements store.Store.
func (s *Store) KeyByKID(ctx context.Context, workspace string, kid jwks.KID) (store.Key, error) {
	var k store.Key
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		k, err = scanUsed(workspace, c.QueryRow(ctx, selectKeyKID, workspace, kid[:]))
		return err
	})
	return k, wrap(ctx, "read key by kid", err)
}

// KeyByIdempotencyKey implements store.Store.
func (s *Store) KeyByIdempotencyKey(ctx context.Context, workspace, key string) (store.Key, error) {
	var k store.Key
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		k, err = scanUsed(workspace, c.QueryRow(ctx, selectKeyIdempotency, workspace, key))
		return err
	})
	if err == nil {
		err = s.confirm(ctx)
	}
	return k, wrap(ctx, "read key by idempotency key", err)
}
