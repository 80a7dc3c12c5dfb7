package store

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
)

// Order is the order of a list of keys. Keys that are equal in it are in the order of their ids.
type Order string

// These are also the values in addresses of pages.
const (
	OrderCreated Order = "created" // by id, so by time
	OrderExpiry  Order = "expires" // keys that never expire are last
	OrderUse     Order = "used"    // only keys whose use is known
	OrderName    Order = "name"    // without regard to the case of ASCII letters
	OrderOwner   Order = "owner"
)

// Orders returns all orders.
func Orders() []Order { return []Order{OrderCreated, OrderExpiry, OrderUse, OrderName, OrderOwner} }

// ErrCursor means that a cursor is not one of this list.
var ErrCursor = errors.New("invalid cursor")

// Overview has numbers of one workspace, each of them up to the limit of the call that counted.
type Overview struct {
	Active, Deprecated, Suspended int // by Status
	Expiring                      int // active keys that expire before a time
	Requests                      int // open
	Refused                       int // entries of the audit with ResultRefused, since a time
	// More means that the workspace has more live keys than the limit. Only the limit's number of them was counted.
	More bool
}

// OverviewQuery says what an Overview counts.
type OverviewQuery struct {
	Now            time.Time
	ExpiringBefore time.Time
	RefusedSince   time.Time
	Most           int // keys to count; must be positive
	MostEvents     int // requests, and entries of the audit; must be positive
}

// OperatorStore has what the producer's staff need to find keys among many.
type OperatorStore interface {
	// KeysInOrder lists a workspace's records like Keys, but in an order, or with reverse in the opposite order.
	// Filter.After is ignored: next is a cursor, which continues the same list if it is passed as after. Only an empty
	// cursor marks the beginning and the end. Errors: ErrCursor.
	KeysInOrder(ctx context.Context, workspace string, f Filter, o Order, reverse bool, after string) (list []Key, next string, err error)
	// KeysAnywhere returns the records of all workspaces with this id or, if it is uuid.Nil, this kid, by one lookup in an
	// index. It returns at most `most`, since workspaces can have keys with the same id.
	KeysAnywhere(ctx context.Context, id uuid.UUID, kid jwks.KID, most int) ([]Key, error)
	// Overview counts keys, requests and refusals of a workspace. Each count reads only as many entries of an index as the
	// query allows. Errors: ErrNotFound.
	Overview(ctx context.Context, workspace string, q OverviewQuery) (Overview, error)
}
