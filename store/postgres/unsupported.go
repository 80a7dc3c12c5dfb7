package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Rotate implements store.Store.
func (s *Store) Rotate(context.Context, string, uuid.UUID, store.Key, jwks.Key, time.Time) (old, issued store.Key, err error) {
	return old, issued, errors.ErrUnsupported
}

// UndoRotation implements store.Store.
func (s *Store) UndoRotation(context.Context, string, uuid.UUID, time.Time) (old, successor store.Key, err error) {
	return old, successor, errors.ErrUnsupported
}

// Retire implements store.Store.
func (s *Store) Retire(context.Context, string, uuid.UUID, time.Time) (store.Key, error) {
	return store.Key{}, errors.ErrUnsupported
}

// Due implements store.Store.
func (s *Store) Due(context.Context, store.DuePlace, time.Time, int) ([]store.Key, error) {
	return nil, errors.ErrUnsupported
}

// NextDue implements store.Store.
func (s *Store) NextDue(context.Context) (time.Time, error) { return time.Time{}, errors.ErrUnsupported }

// CreateSession implements store.Store.
func (s *Store) CreateSession(context.Context, store.Session) error { return errors.ErrUnsupported }

// ExchangeSession implements store.Store.
func (s *Store) ExchangeSession(context.Context, [32]byte, store.Session, time.Time) (store.Session, error) {
	return store.Session{}, errors.ErrUnsupported
}

// Session implements store.Store.
func (s *Store) Session(context.Context, [32]byte, time.Time) (store.Session, error) {
	return store.Session{}, errors.ErrUnsupported
}

// EndSession implements store.Store.
func (s *Store) EndSession(context.Context, [32]byte, time.Time) error { return errors.ErrUnsupported }

// PruneSessions implements store.Store.
func (s *Store) PruneSessions(context.Context, time.Time) error { return errors.ErrUnsupported }

// Record implements store.Store.
func (s *Store) Record(context.Context, store.Entry) error { return errors.ErrUnsupported }

// Audit implements store.Store.
func (s *Store) Audit(context.Context, string, store.AuditFilter) ([]store.Entry, error) {
	return nil, errors.ErrUnsupported
}
