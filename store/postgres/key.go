package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	// One statement and so one transaction and one round trip. The inserts read
	// raised, so the workspace's row is locked before anything else.
	issueKey = `WITH raised AS (
			UPDATE workspaces SET version = version + 1 WHERE id = $1 RETURNING version
		), kept AS (
			INSERT INTO keys (workspace, ` + keyColumns + `)
			SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, NULL, version, NULL FROM raised
		), published AS (
			INSERT INTO jwks (workspace, kid, n) SELECT $1, $3, $14 FROM raised
		), logged AS (
			INSERT INTO changes (workspace, version, added, removed) SELECT $1, version, $14, '' FROM raised
		)
		SELECT version FROM raised`
	// What keeps a key from being issued, in the contract's order.
	selectConflict = `SELECT
		(SELECT id FROM keys WHERE workspace = $1 AND idempotency_key = $2),
		EXISTS (SELECT FROM keys WHERE workspace = $1 AND kid = $3)
			OR EXISTS (SELECT FROM jwks WHERE workspace = $1 AND kid = $3),
		EXISTS (SELECT FROM keys WHERE workspace = $1 AND id = $4)`
	updateKey            = `UPDATE keys SET name = $3, metadata = $4, updated_at = $5 WHERE workspace = $1 AND id = $2`
	selectKey            = `SELECT ` + keyColumns + ` FROM keys WHERE workspace = $1 AND id = $2`
	lockKey              = selectKey + ` FOR NO KEY UPDATE`
	selectKeyKID         = `SELECT ` + keyColumns + ` FROM keys WHERE workspace = $1 AND kid = $2`
	selectKeyIdempotency = `SELECT ` + keyColumns + ` FROM keys WHERE workspace = $1 AND idempotency_key = $2`
)

// Issue implements store.Store.
func (s *Store) Issue(ctx context.Context, k store.Key, pub jwks.Key) (store.Key, error) {
	k = normalize(k, pub)
	err := s.write(ctx, k.Workspace, func(ctx context.Context, c *pgxpool.Conn) error {
		err := c.QueryRow(ctx, issueKey, k.Workspace, [16]byte(k.ID), k.KID[:], k.Owner, k.Name, k.Scopes, k.Audience,
			string(k.Claims), string(k.Metadata), orNull(k.IdempotencyKey),
			micros(k.CreatedAt), micros(k.UpdatedAt), micros(k.ExpiresAt), pub.Modulus()).Scan(&k.Version)
		if isCode(err, uniqueViolation) {
			return conflict(ctx, c, k, err)
		}
		return notFound(err)
	})
	if errors.Is(err, store.ErrIdempotencyKey) {
		if unsure := s.confirm(ctx); unsure != nil {
			err = unsure // alone: the other would be the answer
		}
	}
	if err != nil {
		return store.Key{}, wrap(ctx, "issue key", err)
	}
	s.notifier.notify(k.Workspace)
	return k, nil
}

// normalize brings a new record to the form in which it is read back.
func normalize(k store.Key, pub jwks.Key) store.Key {
	k.KID = pub.KID()
	k.Scopes, k.Audience = notNil(k.Scopes), notNil(k.Audience)
	k.Claims, k.Metadata = object(k.Claims), object(k.Metadata)
	k.CreatedAt, k.UpdatedAt, k.ExpiresAt = cut(k.CreatedAt), cut(k.UpdatedAt), cut(k.ExpiresAt)
	k.RevokedAt, k.RevokedVersion = time.Time{}, 0
	return k
}

// conflict finds out which of its unique fields kept k from being inserted. It
// is none of them if the database is damaged; then violation says what is.
func conflict(ctx context.Context, c *pgxpool.Conn, k store.Key, violation error) error {
	var (
		earlier      *[16]byte
		hadKID, isID bool
	)
	err := c.QueryRow(ctx, selectConflict, k.Workspace, k.IdempotencyKey, k.KID[:], [16]byte(k.ID)).
		Scan(&earlier, &hadKID, &isID)
	switch {
	case err != nil:
		return err
	case earlier != nil:
		return &store.IdempotencyError{ID: *earlier}
	case hadKID:
		return store.ErrDuplicateKID
	case isID:
		return store.ErrExists
	default:
		return violation
	}
}

const (
	notNullViolation = "23502"
	uniqueViolation  = "23505"
)

func isCode(err error, code string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == code
}

// Revoke implements store.Store.
func (s *Store) Revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	k, err := s.revoke(ctx, workspace, id, at)
	if err != nil {
		return store.Key{}, wrap(ctx, "revoke key", err)
	}
	return k, nil
}

func (s *Store) revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	if at.IsZero() {
		return store.Key{}, errors.New("the time is missing")
	}
	k, err := s.key(ctx, workspace, id)
	switch {
	case err != nil:
		return k, err
	case k.RevokedVersion != 0:
		return k, s.confirm(ctx)
	}
	err = s.write(ctx, workspace, func(ctx context.Context, c *pgxpool.Conn) error {
		return commitRevocation(ctx, c, workspace, id, at)
	})
	if err != nil && !isCode(err, notNullViolation) {
		return k, err
	}
	revoked := err == nil
	if revoked {
		s.notifier.notify(workspace)
	}
	k, errRead := s.key(ctx, workspace, id)
	switch {
	case errRead != nil:
		return k, errRead
	case k.RevokedVersion == 0:
		return k, fmt.Errorf("the JWK of key %s is missing: the database is damaged: %w", id, err)
	case !revoked: // another was first, and nothing was kept of this
		return k, s.confirm(ctx)
	}
	return k, nil
}

// raise and revokeKey are one transaction. They are two statements, since the
// second must see what was committed while the first waited for the lock. If the
// key was revoked in the meantime or its JWK is missing, the change has no kid,
// which its column refuses: then nothing is kept, and no version is taken.
const (
	raise     = `UPDATE workspaces SET version = version + 1 WHERE id = $1`
	revokeKey = `WITH raised AS (
			SELECT version FROM workspaces WHERE id = $1
		), revoked AS (
			UPDATE keys SET revoked_at = $3, revoked_version = raised.version FROM raised
			WHERE workspace = $1 AND id = $2 AND revoked_version IS NULL RETURNING kid
		), withdrawn AS (
			DELETE FROM jwks USING revoked WHERE jwks.workspace = $1 AND jwks.kid = revoked.kid RETURNING jwks.kid
		)
		INSERT INTO changes (workspace, version, added, removed)
		SELECT $1, version, '', (SELECT kid FROM withdrawn) FROM raised`
)

// commitRevocation sends both statements at once: a batch is one transaction, and
// the lock is held for one round trip.
func commitRevocation(ctx context.Context, c *pgxpool.Conn, workspace string, id uuid.UUID, at time.Time) error {
	var batch pgx.Batch
	batch.Queue(raise, workspace)
	batch.Queue(revokeKey, workspace, [16]byte(id), micros(cut(at)))
	return c.SendBatch(ctx, &batch).Close()
}

// Key implements store.Store.
func (s *Store) Key(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error) {
	k, err := s.key(ctx, workspace, id)
	return k, wrap(ctx, "read key", err)
}

func (s *Store) key(ctx context.Context, workspace string, id uuid.UUID) (k store.Key, err error) {
	err = s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) error {
		k, err = scanKey(workspace, c.QueryRow(ctx, selectKey, workspace, [16]byte(id)))
		return err
	})
	return k, err
}

// KeyByKID implements store.Store.
func (s *Store) KeyByKID(ctx context.Context, workspace string, kid jwks.KID) (store.Key, error) {
	var k store.Key
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		k, err = scanKey(workspace, c.QueryRow(ctx, selectKeyKID, workspace, kid[:]))
		return err
	})
	return k, wrap(ctx, "read key by kid", err)
}

// KeyByIdempotencyKey implements store.Store.
func (s *Store) KeyByIdempotencyKey(ctx context.Context, workspace, key string) (store.Key, error) {
	var k store.Key
	err := s.read(ctx, func(ctx context.Context, c *pgxpool.Conn) (err error) {
		k, err = scanKey(workspace, c.QueryRow(ctx, selectKeyIdempotency, workspace, key))
		return err
	})
	if err == nil {
		err = s.confirm(ctx)
	}
	return k, wrap(ctx, "read key by idempotency key", err)
}

// UpdateKey implements store.Store. While change runs, the key is locked against
// its revocation.
func (s *Store) UpdateKey(ctx context.Context, workspace string, id uuid.UUID, change func(*store.Key) error) (store.Key, error) {
	var k store.Key
	begun := false
	err := s.writeUnless(ctx, workspace, &begun, inTx(func(ctx context.Context, t pgx.Tx) (err error) {
		if k, err = scanKey(workspace, t.QueryRow(ctx, lockKey, workspace, [16]byte(id))); err != nil {
			return err
		}
		begun = true
		changed := k
		// change may write into slices.
		changed.Scopes, changed.Audience = notNil(k.Scopes), notNil(k.Audience)
		changed.Claims, changed.Metadata = object(k.Claims), object(k.Metadata)
		if err := change(&changed); err != nil {
			return err
		}
		k.Name, k.Metadata, k.UpdatedAt = changed.Name, object(changed.Metadata), cut(changed.UpdatedAt)
		_, err = t.Exec(ctx, updateKey, workspace, [16]byte(id), k.Name, string(k.Metadata), micros(k.UpdatedAt))
		return err
	}))
	if err != nil {
		return store.Key{}, wrap(ctx, "update key", err)
	}
	return k, nil
}
