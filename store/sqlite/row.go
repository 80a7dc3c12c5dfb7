package sqlite

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// cut returns a time as it is stored: in UTC, in whole microseconds.
func cut(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// micros returns a time as a column's value; the zero time is NULL.
func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

// roundUp returns t in microseconds, rounded up.
func roundUp(t time.Time) int64 {
	n := t.UnixMicro()
	if t.After(time.UnixMicro(n)) {
		n++
	}
	return n
}

func fromMicros(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

// encodeList returns strings as a JSON array. It refuses invalid UTF-8, which JSON would replace.
func encodeList(list []string) (string, error) {
	for _, s := range list {
		if !utf8.ValidString(s) {
			return "", fmt.Errorf("%q is not UTF-8", s)
		}
	}
	text, err := json.Marshal(notNil(list))
	return string(text), err
}

func decodeList(text string) ([]string, error) {
	list := []string{}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("corrupt list of strings: %w", err)
	}
	return list, nil
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

const (
	workspaceColumns = `id, name, audiences, allow_never_expires, version, created_at, updated_at`
	settingsColumns  = `policy, portal`            // NULL if never set
	reportedColumns  = `since, until, reported_at` // NULL if nobody reports
)

// scanWorkspace reads a row of workspaceColumns, settingsColumns and reportedColumns.
func scanWorkspace(scan func(...any) error) (store.Workspace, error) {
	var (
		w                      store.Workspace
		audiences              string
		created, updated       sql.NullInt64
		policy, portal         sql.NullString
		since, until, reported sql.NullInt64
	)
	err := scan(&w.ID, &w.Name, &audiences, &w.AllowNeverExpires, &w.Version, &created, &updated, &policy, &portal,
		&since, &until, &reported)
	if err != nil {
		return store.Workspace{}, notFound(err)
	}
	w.CreatedAt, w.UpdatedAt = fromMicros(created), fromMicros(updated)
	w.Usage = store.Reported{Since: fromMicros(since), Until: fromMicros(until), At: fromMicros(reported)}
	var errAudiences error
	w.Audiences, errAudiences = decodeList(audiences)
	err = errors.Join(errAudiences, decodeSettings(policy, &w.Policy), decodeSettings(portal, &w.Portal))
	w.Policy, w.Portal = w.Policy.Clone(), w.Portal.Clone()
	return w, err
}

func decodeSettings(text sql.NullString, into any) error {
	if !text.Valid {
		return nil
	}
	if err := json.Unmarshal([]byte(text.String), into); err != nil {
		return fmt.Errorf("corrupt settings: %w", err)
	}
	return nil
}

const keyColumns = `id, kid, owner, name, scopes, audience, claims, metadata, idempotency_key,
	created_at, updated_at, expires_at, revoked_at, version, revoked_version,
	rotated_from, rotated_to, grace_ends_at, expired_version, request_digest`

// scanKey reads a row of keyColumns.
func scanKey(workspace string, scan func(...any) error) (store.Key, error) {
	var (
		id, kid, rotatedFrom, rotatedTo     []byte
		scopes, audience, claims, metadata  string
		idempotency                         sql.NullString
		created, updated, expires, revoked  sql.NullInt64
		revokedVersion, expiredVersion      sql.NullInt64
		grace                               sql.NullInt64
		k                                   = store.Key{Workspace: workspace}
		errID, errKID, errScopes, errAudien error
		errFrom, errTo                      error
	)
	err := scan(&id, &kid, &k.Owner, &k.Name, &scopes, &audience, &claims, &metadata, &idempotency,
		&created, &updated, &expires, &revoked, &k.Version, &revokedVersion, &rotatedFrom, &rotatedTo, &grace, &expiredVersion,
		&k.RequestDigest)
	if err != nil {
		return store.Key{}, notFound(err)
	}
	k.ID, errID = uuid.FromBytes(id)
	k.KID, errKID = kidFromBytes(kid)
	k.Scopes, errScopes = decodeList(scopes)
	k.Audience, errAudien = decodeList(audience)
	k.Claims, k.Metadata = json.RawMessage(claims), json.RawMessage(metadata)
	k.IdempotencyKey = idempotency.String
	k.CreatedAt, k.UpdatedAt = fromMicros(created), fromMicros(updated)
	k.ExpiresAt, k.RevokedAt = fromMicros(expires), fromMicros(revoked)
	k.RevokedVersion, k.ExpiredVersion = uint64(revokedVersion.Int64), uint64(expiredVersion.Int64)
	k.RotatedFrom, errFrom = idOrNil(rotatedFrom)
	k.RotatedTo, errTo = idOrNil(rotatedTo)
	k.GraceEndsAt = fromMicros(grace)
	if err := errors.Join(errID, errKID, errScopes, errAudien, errFrom, errTo); err != nil {
		return k, fmt.Errorf("%w: a key: %w", store.ErrDamaged, err)
	}
	return k, nil
}

func idOrNil(b []byte) (uuid.UUID, error) {
	if b == nil {
		return uuid.Nil, nil
	}
	return uuid.FromBytes(b)
}

// orNull returns an id as a column's value; uuid.Nil is NULL.
func orNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id[:]
}

// bytesOrNull returns bytes as a column's value; no bytes are NULL.
func bytesOrNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// versionOrNull returns a version as a column's value; 0 is NULL.
func versionOrNull(version uint64) any {
	if version == 0 {
		return nil
	}
	return version
}

func kidFromBytes(b []byte) (kid jwks.KID, err error) {
	if len(b) != len(kid) {
		return kid, fmt.Errorf("a kid of %d bytes", len(b))
	}
	return jwks.KID(b), nil
}

func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}

// encodeChange returns the two columns of a change.
func encodeChange(add []jwks.Key, remove []jwks.KID) (added, removed []byte) {
	added = make([]byte, 0, len(add)*jwks.ModulusLen)
	for _, key := range add {
		added = append(added, key.Modulus()...)
	}
	removed = make([]byte, 0, len(remove)*len(jwks.KID{}))
	for _, kid := range remove {
		removed = append(removed, kid[:]...)
	}
	return added, removed
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
