package rows

import (
	"database/sql"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

const (
	// SelectCaller finds a management key that is valid.
	SelectCaller = `SELECT 1 FROM keys WHERE workspace = '` + store.Home + `' AND id = $1 AND ` + Published + ` AND suspended_at IS NULL
		AND (expires_at IS NULL OR expires_at > $2) AND (grace_ends_at IS NULL OR grace_ends_at > $2)`
	// SelectMaker finds a management key that is not revoked or suspended; it may have expired.
	SelectMaker = `SELECT 1 FROM keys WHERE workspace = '` + store.Home + `' AND id = $1 AND revoked_at IS NULL AND suspended_at IS NULL
		AND (expired_version IS NOT NULL OR grace_ends_at IS NULL OR grace_ends_at > $2)`
	// SelectMadeBy finds a session that is valid.
	SelectMadeBy = `SELECT made_by FROM sessions WHERE hash = $1 AND expires_at > $2`
)

// Look runs a query and scans its only row.
type Look func(into any, query string, args ...any) error

// Stands returns store.ErrNoAuthority if a is not valid. `lock` is appended to the queries.
func (d *Dialect) Stands(a store.Authority, look Look, lock string) error {
	if a.Own() {
		return nil
	}
	now := a.Time()
	if a.Key != uuid.Nil {
		var one int
		if err := standing(look(&one, SelectCaller+lock, d.ID(a.Key), now.UnixMicro())); err != nil {
			return err
		}
	}
	if a.Session == [32]byte{} {
		return nil
	}
	var madeBy uuid.UUID
	if err := standing(look(d.IDInto(&madeBy), SelectMadeBy+lock, a.Session[:], now.UnixMicro())); err != nil {
		return err
	}
	return d.Maker(madeBy, now, look, lock)
}

// Maker returns store.ErrNoAuthority if the key that created a link is revoked. `lock` is appended to the
// query.
func (d *Dialect) Maker(madeBy uuid.UUID, now time.Time, look Look, lock string) error {
	if madeBy == uuid.Nil {
		return nil
	}
	var one int
	return standing(look(&one, SelectMaker+lock, d.ID(madeBy), now.UnixMicro()))
}

func standing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNoAuthority
	}
	return err
}
