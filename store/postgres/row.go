package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// errLimit is returned for limits that PostgreSQL would refuse or treat as no rows.
var errLimit = errors.New("the limit must be positive")

// cut returns a time as it is stored: in UTC, in whole microseconds.
func cut(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// micros returns a time as a column's value; the zero time is NULL. The column is not a timestamptz:
// its range is narrower and depends on the client's library.
func micros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixMicro()
	return &n
}

// roundUp returns t in microseconds, rounded up.
func roundUp(t time.Time) int64 {
	n := t.UnixMicro()
	if t.After(time.UnixMicro(n)) {
		n++
	}
	return n
}

func fromMicros(n *int64) time.Time {
	if n == nil {
		return time.Time{}
	}
	return time.UnixMicro(*n).UTC()
}

// notNil copies a list, so that it is not shared with the caller.
func notNil(list []string) []string { return append(make([]string, 0, len(list)), list...) }

// object copies a JSON object; nil becomes the empty one.
func object(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage(`{}`)
	}
	return slices.Clone(raw)
}

// storable reports whether a text column can store s. If it can't, no row matches, but PostgreSQL would
// return an error.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// orNull returns s, or NULL for the empty string.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

const (
	workspaceColumns = `id, name, audiences, allow_never_expires, version, created_at, updated_at, policy, portal`
	reportedColumns  = `since, until, reported_at` // NULL if nobody reports
)

// scanWorkspace reads a row of workspaceColumns and reportedColumns.
func scanWorkspace(row pgx.Row) (store.Workspace, error) {
	var (
		w                      store.Workspace
		created, updated       *int64
		policy, portal         []byte
		since, until, reported *int64
	)
	err := row.Scan(&w.ID, &w.Name, &w.Audiences, &w.AllowNeverExpires, &w.Version, &created, &updated, &policy, &portal,
		&since, &until, &reported)
	if err != nil {
		return store.Workspace{}, notFound(err)
	}
	w.Audiences = notNil(w.Audiences)
	w.CreatedAt, w.UpdatedAt = fromMicros(created), fromMicros(updated)
	w.Usage = store.Reported{Since: fromMicros(since), Until: fromMicros(until), At: fromMicros(reported)}
	if err := errors.Join(json.Unmarshal(policy, &w.Policy), json.Unmarshal(portal, &w.Portal)); err != nil {
		return store.Workspace{}, fmt.Errorf("corrupt settings: %w", err)
	}
	w.Policy, w.Portal = w.Policy.Clone(), w.Portal.Clone()
	return w, nil
}

// settings returns a workspace's policy and portal as columns' values.
func settings(w store.Workspace) (policy, portal string, err error) {
	policyText, errPolicy := json.Marshal(w.Policy)
	portalText, errPortal := json.Marshal(w.Portal)
	return string(policyText), string(portalText), errors.Join(errPolicy, errPortal)
}

const keyColumns = `id, kid, owner, name, scopes, audience, claims, metadata, idempotency_key,
	created_at, updated_at, expires_at, revoked_at, version, revoked_version,
	rotated_from, rotated_to, grace_ends_at, expired_version, request_digest`

// scanKey reads a row of keyColumns.
func scanKey(workspace string, row pgx.Row) (store.Key, error) {
	var (
		k                                  = store.Key{Workspace: workspace}
		kid                                []byte
		claims, metadata                   string
		idempotency                        *string
		created, updated, expires, revoked *int64
		rotatedFrom, rotatedTo             *[16]byte
		grace                              *int64
		revokedVersion, expiredVersion     *uint64
	)
	err := row.Scan((*[16]byte)(&k.ID), &kid, &k.Owner, &k.Name, &k.Scopes, &k.Audience, &claims, &metadata,
		&idempotency, &created, &updated, &expires, &revoked, &k.Version, &revokedVersion,
		&rotatedFrom, &rotatedTo, &grace, &expiredVersion, &k.RequestDigest)
	if err != nil {
		return store.Key{}, notFound(err)
	}
	k.Scopes, k.Audience = notNil(k.Scopes), notNil(k.Audience)
	k.Claims, k.Metadata = json.RawMessage(claims), json.RawMessage(metadata)
	if idempotency != nil {
		k.IdempotencyKey = *idempotency
	}
	k.CreatedAt, k.UpdatedAt = fromMicros(created), fromMicros(updated)
	k.ExpiresAt, k.RevokedAt = fromMicros(expires), fromMicros(revoked)
	k.GraceEndsAt = fromMicros(grace)
	k.RotatedFrom, k.RotatedTo = orZero(rotatedFrom), orZero(rotatedTo)
	k.RevokedVersion, k.ExpiredVersion = orZero(revokedVersion), orZero(expiredVersion)
	if k.KID, err = kidFromBytes(kid); err != nil {
		return k, fmt.Errorf("%w: a key: %w", store.ErrDamaged, err)
	}
	return k, nil
}

// bytesOrNull returns bytes as a column's value; no bytes are NULL.
func bytesOrNull(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// orZero returns a column's value, the zero value for NULL.
func orZero[T any](value *T) (zero T) {
	if value == nil {
		return zero
	}
	return *value
}

// idOrNull returns an id as a column's value; uuid.Nil is NULL.
func idOrNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return [16]byte(id)
}

// prefixed is a row with one more column before those that Scan reads.
type prefixed struct {
	row   pgx.Row
	first any
}

func (p prefixed) Scan(columns ...any) error {
	return p.row.Scan(append([]any{p.first}, columns...)...)
}

func kidFromBytes(b []byte) (kid jwks.KID, err error) {
	if len(b) != len(kid) {
		return kid, fmt.Errorf("a kid of %d bytes", len(b))
	}
	return jwks.KID(b), nil
}

func notFound(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

func decodeChange(version uint64, added, removed []byte) (jwks.Change, error) {
	c := jwks.Change{Version: version, Add: []jwks.Key{}, Remove: []jwks.KID{}}
	for n := range slices.Chunk(added, jwks.ModulusLen) {
		key, err := jwks.FromModulus(n)
		if err != nil {
			return c, fmt.Errorf("%w: change %d: %w", store.ErrDamaged, version, err)
		}
		c.Add = append(c.Add, key)
	}
	for b := range slices.Chunk(removed, len(jwks.KID{})) {
		kid, err := kidFromBytes(b)
		if err != nil {
			return c, fmt.Errorf("%w: change %d: %w", store.ErrDamaged, version, err)
		}
		c.Remove = append(c.Remove, kid)
	}
	return c, nil
}
