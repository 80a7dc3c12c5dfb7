package rows

import (
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

// selectLeft selects what the limits of a key still allowed.
const selectLeft = `SELECT limits, limits_at FROM usage WHERE workspace = $1 AND id = $2 AND limits IS NOT NULL`

// LeftArg returns the argument for what limits still allow; NULL if nothing is known.
func LeftArg(left []store.Left) any { return encode(left, len(left) == 0) }

type left struct {
	limits []store.Left
	at     time.Time
}

// LimitsLeft implements store.Store.LimitsLeft.
func (d *Dialect) LimitsLeft(q Query, workspace string, id uuid.UUID) ([]store.Left, time.Time, error) {
	list, err := collect(q, func(l *left) []any {
		return []any{object(&l.limits, "what limits allow"), Time(&l.at)}
	}, selectLeft, workspace, d.ID(id))
	if err != nil || len(list) == 0 {
		return nil, time.Time{}, err
	}
	return list[0].limits, list[0].at, nil
}
