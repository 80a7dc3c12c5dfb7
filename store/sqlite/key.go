package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/internal/rows"
)

const (
	insertKey = `INSERT INTO keys (workspace, ` + rows.KeyColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, NULL, ?, NULL, NULL, NULL, ?, ?, ?, ?, ?, ?, NULL, NULL, NULL, ?, NULL, NULL)
		ON CONFLICT DO NOTHING`
	selectKeys           = `SELECT ` + rows.UsedKeyColumns + ` FROM keys WHERE `
	selectKey            = selectKeys + `workspace = ? AND id = ?`
	selectKeyIdempotency = selectKeys + `workspace = ? AND idempotency_key = ?`
	selectKeyKID         = selectKeys + `workspace = ? AND kid = ?`
	selectKID            = `SELECT 1 FROM keys WHERE workspace = ? AND kid = ?`

	// countActive and countGrace count, up to a limit, an owner's keys that are active or in their grace at a
	// time, except one key.
	ownersKeys    = `SELECT count(*) FROM (SELECT 1 FROM keys WHERE workspace = ? AND owner = ? AND ` + rows.Published
	countActive   = ownersKeys + ` AND rotated_to IS NULL AND (expires_at IS NULL OR expires_at > ?) AND id <> ? LIMIT ?)`
	countGrace    = ownersKeys + ` AND grace_ends_at > ? AND id <> ? LIMIT ?)`
	selectEarlier = `SELECT id, request_digest FROM keys WHERE workspace = ? AND idempotency_key = ?`
)

// Issue implements store.Store.
func (s *Store) Issue(ctx context.Context, k store.Key, pub jwks.Key, terms store.Terms) (store.Key, error) {
	k = rows.NewKey(k, pub)
	if err := rows.Storable(k); err != nil {
		return store.Key{}, wrap(ctx, "issue key", err)
	}
	err := s.write(ctx, func(t *tx) (err error) {
		limit, err := meets(t, k, terms)
		if err != nil {
			return err
		}
		if k.Parent != uuid.Nil {
			if err := t.parents(k.Workspace).Adopt(&k); err != nil {
				return err
			}
		}
		if k.Version, err = raiseVersion(t, k.Workspace); err != nil {
			return err
		}
		if err := insertRecord(t, k, pub); err != nil {
			return err
		}
		if k.Parent != uuid.Nil {
			if err := t.parents(k.Workspace).SetParent(&k); err != nil {
				return err
			}
		}
		if err := withinLimit(t, countActive, k, limit); err != nil {
			return err
		}
		if err := logChange(t, k.Workspace, jwks.Change{Version: k.Version, Add: []jwks.Key{pub}, Unsigned: k.Issued()}); err != nil {
			return err
		}
		return record(t, store.KeyIssued(t.ctx, k))
	})
	return orZero(k, wrap(ctx, "issue key", err))
}

// meets checks k against terms and its plan, and returns the owner's limit. It first refuses a repeated request.
func meets(t *tx, k store.Key, terms store.Terms) (limit int, err error) {
	if terms != nil {
		w, err := scanWorkspace(t.row(selectWorkspace, k.Workspace))
		if err != nil {
			return 0, err
		}
		if err := refuseRepeat(t, k); err != nil {
			return 0, err
		}
		if limit, err = terms(&w); err != nil {
			return 0, err
		}
	}
	return limit, t.locked(store.Workspace{ID: k.Workspace}).HasPlan(k.Workspace, k.Plan)
}

// insertRecord inserts a record and its JWK.
func insertRecord(t *tx, k store.Key, pub jwks.Key) error {
	if err := storeRecord(t, k); err != nil {
		return err
	}
	return publish(t, k.Workspace, pub, k.Attributes())
}

func storeRecord(t *tx, k store.Key) error {
	scopes, err := encodeList(k.Scopes)
	if err != nil {
		return err
	}
	audience, err := encodeList(k.Audience)
	if err != nil {
		return err
	}
	n, err := t.exec(insertKey, append([]any{
		k.Workspace, k.ID[:], k.KID[:], k.Owner, k.Name, scopes, audience,
		string(k.Claims), string(k.Metadata), rows.OrNull(k.IdempotencyKey), rows.Micros(k.CreatedAt), rows.Micros(k.UpdatedAt),
		rows.Micros(k.ExpiresAt), k.Version, dialect.IDOrNull(k.RotatedFrom), rows.BytesOrNull(k.RequestDigest),
	}, append(rows.IssuedArgs(k), rows.DigestArg(k.Digest))...)...)
	if err == nil && n == 0 {
		err = conflict(t, k)
	}
	return err
}

// withinLimit returns store.ErrTooMany if the owner of k has too many other keys when k is created, counted by
// countActive or countGrace. It is called last because other errors take precedence.
func withinLimit(t *tx, count string, k store.Key, limit int) error {
	if limit <= 0 {
		return nil
	}
	var n int
	// Not rows.Micros: it makes the zero time NULL, and a comparison with NULL would not count keys that can
	// expire.
	err := t.row(count, k.Workspace, k.Owner, k.CreatedAt.UnixMicro(), k.ID[:], limit).Scan(&n)
	if err == nil && n >= limit {
		return store.ErrTooMany
	}
	return err
}

// refuseRepeat returns an error if a key was already issued under the idempotency key of k.
func refuseRepeat(t *tx, k store.Key) error {
	if k.IdempotencyKey == "" {
		return nil
	}
	var (
		earlier uuid.UUID
		digest  []byte
	)
	err := t.row(selectEarlier, k.Workspace, k.IdempotencyKey).Scan(dialect.IDInto(&earlier), &digest)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return k.Repeated(earlier, digest)
}

// conflict returns the error for the unique field of k that prevented its insertion.
func conflict(t *tx, k store.Key) error {
	if err := refuseRepeat(t, k); err != nil {
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

// CountKeys implements store.Store.
func (s *Store) CountKeys(ctx context.Context, workspace, owner string, status store.Status, at time.Time, most int) (n int, err error) {
	query := countActive
	if status == store.Deprecated {
		query = countGrace
	}
	if most < 1 {
		return 0, wrap(ctx, "count keys", rows.ErrLimit)
	}
	err = s.reads.row(ctx, s.reader, query, workspace, owner, at.UnixMicro(), uuid.Nil[:], most).Scan(&n)
	return n, wrap(ctx, "count keys", err)
}

func readKey(t *tx, workspace string, id uuid.UUID) (store.Key, error) {
	return scanKey(workspace, t.row(selectKey, workspace, id[:]))
}

// Key implements store.Store.
func (s *Store) Key(ctx context.Context, workspace string, id uuid.UUID) (store.Key, error) {
	k, err := scanKey(workspace, s.reads.row(ctx, s.reader, selectKey, workspace, id[:]))
	return k, wrap(ctx, "read key", err)
}

// KeyByKID implements store.Store.
func (s *Store) KeyByKID(ctx context.Context, workspace string, kid jwks.KID) (store.Key, error) {
	k, err := scanKey(workspace, s.reads.row(ctx, s.reader, selectKeyKID, workspace, kid[:]))
	return k, wrap(ctx, "read key by kid", err)
}

// KeyByIdempotencyKey implements store.Store.
func (s *Store) KeyByIdempotencyKey(ctx context.Context, workspace, key string) (store.Key, error) {
	k, err := scanKey(workspace, s.reads.row(ctx, s.reader, selectKeyIdempotency, workspace, key))
	return k, wrap(ctx, "read key by idempotency key", err)
}
