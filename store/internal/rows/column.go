package rows

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// Column decodes the value that the driver returns for a column: nil for NULL. It is only valid during the
// call.
type Column func(value any) error

// Scan implements sql.Scanner.
func (c Column) Scan(value any) error {
	if err := c(value); err != nil {
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return nil
}

// Time returns the destination of a time in microseconds; NULL becomes the zero time.
func Time(t *time.Time) Column {
	return func(value any) error {
		*t = time.Time{}
		if value == nil {
			return nil
		}
		n, ok := value.(int64)
		*t = time.UnixMicro(n).UTC()
		return expect(ok, value, "a time")
	}
}

func version(v *uint64) Column {
	return func(value any) error {
		n, ok := value.(int64)
		*v = uint64(n)
		return expect(ok || value == nil, value, "a version")
	}
}

// text returns the destination of a string; NULL becomes the empty string.
func text(s *string) Column {
	return func(value any) (err error) {
		var ok bool
		*s, ok = value.(string)
		return expect(ok || value == nil, value, "a text")
	}
}

// words returns the destination of words separated by spaces; NULL becomes an empty list.
func words(list *[]string) Column {
	return func(value any) error {
		var joined string
		err := text(&joined)(value)
		*list = NotNil(strings.Fields(joined))
		return err
	}
}

// flag returns the destination of a truth value; NULL becomes false.
func flag(b *bool) Column {
	return func(value any) error {
		n, isNumber := value.(int64)
		is, isBool := value.(bool)
		*b = is || n != 0
		return expect(isNumber || isBool || value == nil, value, "a truth value")
	}
}

func kid(k *jwks.KID) Column {
	return func(value any) (err error) {
		b, _ := value.([]byte)
		*k, err = KID(b)
		return err
	}
}

func hash(h *[32]byte) Column {
	return func(value any) error {
		b, _ := value.([]byte)
		return expect(copy(h[:], b) == len(h), value, "a hash")
	}
}

// settings returns the destination of settings in JSON; NULL becomes the zero value.
func settings[T interface{ Clone() T }](into *T) Column {
	return func(value any) (err error) {
		text, ok := value.(string)
		if ok {
			err = json.Unmarshal([]byte(text), into)
		}
		*into = (*into).Clone()
		return errors.Join(err, expect(ok || value == nil, value, "an object"))
	}
}

func expect(ok bool, value any, kind string) error {
	if !ok {
		return fmt.Errorf("%T is not %s", value, kind)
	}
	return nil
}

// KID decodes a kid.
func KID(b []byte) (kid jwks.KID, err error) {
	if len(b) != len(kid) {
		return kid, fmt.Errorf("a kid of %d bytes", len(b))
	}
	return jwks.KID(b), nil
}

// Cut returns a time as it is stored: in UTC, in whole microseconds.
func Cut(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMicro(t.UnixMicro()).UTC()
}

// Micros returns the argument for a time: its microseconds, or NULL for the zero time. The databases' own
// timestamps have a narrower range, or their format depends on the driver.
func Micros(t time.Time) any {
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

// OrNull returns the argument for a value; the zero value becomes NULL.
func OrNull[T comparable](value T) any {
	if value == *new(T) {
		return nil
	}
	return value
}

// BytesOrNull returns the argument for bytes; an empty slice becomes NULL.
func BytesOrNull(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

// IDOrNull returns the argument for an id; uuid.Nil becomes NULL.
func (d *Dialect) IDOrNull(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return d.ID(id)
}

// NotNil returns a copy of a list; nil becomes an empty list.
func NotNil(list []string) []string { return append(make([]string, 0, len(list)), list...) }

// cloneObject copies a JSON object; nil becomes {}.
func cloneObject(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage(`{}`)
	}
	return slices.Clone(raw)
}

// storable reports whether all of these strings can be stored. If not, a query for them can find no row, but
// PostgreSQL would return an error.
func storable(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) || strings.ContainsRune(s, 0) })
}
