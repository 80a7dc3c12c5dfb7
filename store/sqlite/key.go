package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	insertKey = `INSERT INTO keys (workspace, ` + keyColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, NULL) ON CONFLICT DO NOTHING`
	updateKey            = `UPDATE keys SET name = ?, metadata = ?, updated_at = ? WHERE workspace = ? AND id = ?`
	revokeKey            = `UPDATE keys SET revoked_at = ?, revoked_version = ? WHERE workspace = ? AND id = ?`
	selectKey            = `SELECT ` + keyColumns + ` FROM keys WHERE workspace = ? AND id = ?`
	selectKeyIdempotency = `SELECT ` + keyColumns + ` FROM keys WHERE workspace = ? AND idempotency_key = ?`
	selectKeyKID         = `SELECT ` + keyColumns + ` FROM keys WHERE workspace = ? AND kid = ?`
	selectKID            = `SELECT 1 FROM keys WHERE workspace = ? AND kid = ?`
)

// Issue implements store.Store.
func (s *Store) Issue(ctx context.Context, k store.Key, pub jwks.Key) (store.Key, error) {
	k = normalize(k, pub)
	err := s.write(ctx, func(t *tx) (err error) {
		if k.Version, err = raiseVersion(t, k.Workspace); err != nil {
			return err
		}
		if err := keepKey(t, k); err != nil {
			return err
		}
		if err := publish(t, k.Workspace, pub); err != nil {
			return err
		}
		return logChange(t, k.Workspace, k.Version, []jwks.Key{pub}, nil)
	})
	if err != nil {
		return store.Key{}, wrap(ctx, "issue key", err)
	}
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

func keepKey(t *tx, k store.Key) error {
	scopes, err := encodeList(k.Scopes)
	if err != nil {
		return err
	}
	audience, err := encodeList(k.Audience)
	if err != nil {
		return err
	}
	idempotency := sql.NullString{String: k.IdempotencyKey, Valid: k.IdempotencyKey != ""}
	n, err := t.exec(insertKey, k.Workspace, k.ID[:], k.KID[:], k.Owner, k.Name, scopes, audience,
		string(k.Claims), string(k.Metadata), idempotency,
		micros(k.CreatedAt), micros(k.UpdatedAt), micros(k.ExpiresAt), k.Version)
	if err != nil {
		return err
	}
	if n == 0 {
		return conflict(t, k)
	}
	return nil
}

// conflict finds out which of its unique fields kept k from being inserted.
func conflict(t *tx, k store.Key) error {
	earlier, err := scanKey(k.Workspace, t.row(selectKeyIdempotency, k.Workspace, k.IdempotencyKey).Scan)
	if err == nil {
		return &store.IdempotencyError{ID: earlier.ID}
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var one int
	switch err := t.row(selectKID, k.Workspace, k.KID[:]).Scan(&one); {
	case err == nil:
		return store.ErrDuplicateKID
	case errors.Is(err, sql.ErrNoRows):
		return store.ErrExists
	default:
		return err
	}
}

// Revoke implements store.Store.
func (s *Store) Revoke(ctx context.Context, workspace string, id uuid.UUID, at time.Time) (store.Key, error) {
	if at.IsZero() {
		return store.Key{}, wrap(ctx, "revoke key", errors.New("the time is missing"))
	}
	var k store.Key
	err := s.write(ctx, func(t *tx) (err error) {
		k, err = scanKey(workspace, t.row(selectKey, workspace, id[:]).Scan)
		if err != nil || k.RevokedVersion != 0 {
			return err
		}
		k.RevokedAt = cut(at)
		if k.RevokedVersion, err = raiseVersion(t, workspace); err != nil {
			return err
		}
		return keepRevoked(t, k)
	})
	if err != nil {
		return store.Key{}, wrap(ctx, "revoke key", err)
	}
	return k, nil
}

func keepRevoked(t *tx, k store.Key) error {
	if _, err := t.exec(revokeKey, micros(k.RevokedAt), k.RevokedVersion, k.Workspace, k.ID[:]); err != nil {
		return err
	}
	n, err := t.exec(deleteJWK, k.Workspace, k.KID[:])
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("the JWK of key %s is missing: the database is damaged", k.ID)
	}
	return logChange(t, k.Workspace, k.RevokedVersion, nil, []jwks.KID{k.KID})
}

// Key implements store.Store.
func (s *Store) Key(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error) {
	k, err := scanKey(workspace, s.reads.row(ctx, s.reader, selectKey, workspace, id[:]).Scan)
	return k, wrap(ctx, "read key", err)
}

// KeyByKID implements store.Store.
func (s *Store) KeyByKID(ctx context.Context, workspace string, kid jwks.KID) (store.Key, error) {
	k, err := scanKey(workspace, s.reads.row(ctx, s.reader, selectKeyKID, workspace, kid[:]).Scan)
	return k, wrap(ctx, "read key by kid", err)
}

// KeyByIdempotencyKey implements store.Store.
func (s *Store) KeyByIdempotencyKey(ctx context.Context, workspace, key string) (store.Key, error) {
	k, err := scanKey(workspace, s.reads.row(ctx, s.reader, selectKeyIdempotency, workspace, key).Scan)
	return k, wrap(ctx, "read key by idempotency key", err)
}

// UpdateKey implements store.Store.
func (s *Store) UpdateKey(ctx context.Context, workspace string, id uuid.UUID, change func(*store.Key) error) (store.Key, error) {
	var k store.Key
	err := s.write(ctx, func(t *tx) (err error) {
		k, err = scanKey(workspace, t.row(selectKey, workspace, id[:]).Scan)
		if err != nil {
			return err
		}
		// Read once more, since change may write into slices.
		changed, err := scanKey(workspace, t.row(selectKey, workspace, id[:]).Scan)
		if err != nil {
			return err
		}
		if err := change(&changed); err != nil {
			return err
		}
		k.Name, k.Metadata, k.UpdatedAt = changed.Name, object(changed.Metadata), cut(changed.UpdatedAt)
		_, err = t.exec(updateKey, k.Name, string(k.Metadata), micros(k.UpdatedAt), workspace, id[:])
		return err
	})
	if err != nil {
		return store.Key{}, wrap(ctx, "update key", err)
	}
	return k, nil
}
