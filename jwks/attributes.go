package jwks

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/go-json-experiment/json"
)

// ErrAttributes is wrapped by every error about invalid attributes.
var ErrAttributes = errors.New("invalid attributes")

// Attributes are the properties of a key that are not signed and can change while it lives. The zero value
// leaves everything as the token says. Attributes must not be changed once they are in a Table or a Change.
type Attributes struct {
	// ExpiresAt replaces the token's exp; zero: exp holds. NeverExpires removes exp.
	ExpiresAt    time.Time `json:"expires_at,omitzero"`
	NeverExpires bool      `json:"never_expires,omitzero"`
	// Scopes replace the token's scopes; nil: those of the token hold.
	Scopes []string `json:"scopes,omitzero"`
	// AllowedIPs are the networks from which the key can be used; empty: from anywhere. IPv4-mapped networks
	// are written as IPv4.
	AllowedIPs []netip.Prefix `json:"allowed_ips,omitempty"`
	// Plan names a LimitSet of the workspace; empty: none.
	Plan string `json:"plan,omitzero"`
	// Limits are the key's own rules.
	Limits []Limit `json:"limits,omitempty"`
	// RotatedAt is when the key got a successor; zero: it has none, or the time is unknown. EndsAt is when its grace
	// ends and with it the key; zero: the key is in no grace.
	RotatedAt time.Time `json:"rotated_at,omitzero"`
	EndsAt    time.Time `json:"ends_at,omitzero"`
}

// IsZero reports whether the attributes change nothing.
func (a *Attributes) IsZero() bool {
	return a.ExpiresAt.IsZero() && !a.NeverExpires && a.Scopes == nil && len(a.AllowedIPs) == 0 && a.Plan == "" && len(a.Limits) == 0 &&
		!a.inGrace()
}

func (a *Attributes) inGrace() bool { return !a.RotatedAt.IsZero() || !a.EndsAt.IsZero() }

// times are the members that are times.
func (a *Attributes) times() [3]*time.Time {
	return [...]*time.Time{&a.ExpiresAt, &a.RotatedAt, &a.EndsAt}
}

// inUTC returns the same attributes with times in UTC.
func (a Attributes) inUTC() Attributes {
	for _, at := range a.times() {
		*at = at.UTC()
	}
	return a
}

// Allows reports whether the key can be used from an address. An IPv4-mapped IPv6 address is its IPv4 address.
func (a *Attributes) Allows(from netip.Addr) bool {
	if len(a.AllowedIPs) == 0 {
		return true
	}
	from = from.Unmap().WithZone("")
	for _, network := range a.AllowedIPs {
		if network.Contains(from) {
			return true
		}
	}
	return false
}

// KeyAttributes are the attributes of one key.
type KeyAttributes struct {
	KID        KID
	Attributes Attributes
}

// Print is the attributes' part of the fingerprint of a feed: zero for the zero value.
func (k *KeyAttributes) Print() Fingerprint {
	if k.Attributes.IsZero() {
		return Fingerprint{}
	}
	a := k.Attributes.inUTC() // the same time has the same print
	return sha256.Sum256(append(k.KID[:], mustMarshal(&a)...))
}

// Unsigned is the part of a change that only the feed has: attributes of keys, limits that keys share, the
// workspace's settings, and imported keys.
type Unsigned struct {
	// Set contains the new attributes of published keys, also of those that the same change adds; the zero
	// value deletes a key's attributes. A key that is removed loses its attributes without an entry here.
	Set []KeyAttributes
	// Limits contains new sets of limits; a set without rules is deleted.
	Limits []LimitSet
	// Settings are the new ones; nil: they stay as they are.
	Settings *Settings
	// Imported contains imported keys that are new or have other attributes, and Dropped those that are no longer accepted.
	Imported []ImportedKey
	Dropped  []KID
}

// IsZero reports whether nothing changes.
func (u *Unsigned) IsZero() bool {
	return len(u.Set) == 0 && len(u.Limits) == 0 && u.Settings == nil && len(u.Imported) == 0 && len(u.Dropped) == 0
}

// unsignedWire is the JSON form of Unsigned.
type unsignedWire struct {
	Set      map[string]Attributes `json:"set,omitempty"`
	Limits   []LimitSet            `json:"limits,omitempty"`
	Settings *Settings             `json:"settings,omitzero"`
	Imported []ImportedKey         `json:"imported,omitempty"`
	Dropped  []string              `json:"dropped,omitempty"`
}

func (u *Unsigned) wire() unsignedWire {
	w := unsignedWire{Limits: u.Limits, Settings: u.Settings, Imported: u.Imported}
	for _, kid := range u.Dropped {
		w.Dropped = append(w.Dropped, kid.String())
	}
	if len(u.Set) > 0 {
		w.Set = make(map[string]Attributes, len(u.Set))
	}
	for i := range u.Set {
		w.Set[u.Set[i].KID.String()] = u.Set[i].Attributes
	}
	return w
}

func (w *unsignedWire) read() (Unsigned, error) {
	u := Unsigned{Limits: w.Limits, Settings: w.Settings, Imported: w.Imported}
	for i := range u.Imported {
		if err := u.Imported[i].Check(); err != nil {
			return Unsigned{}, err
		}
	}
	for _, text := range w.Dropped {
		kid, err := ParseKID(text)
		if err != nil {
			return Unsigned{}, fmt.Errorf("%w: %w", ErrAttributes, err)
		}
		u.Dropped = append(u.Dropped, kid)
	}
	for text, attributes := range w.Set {
		kid, err := ParseKID(text)
		if err != nil {
			return Unsigned{}, fmt.Errorf("%w: %w", ErrAttributes, err)
		}
		if err := CheckLimits(attributes.Limits); err != nil {
			return Unsigned{}, fmt.Errorf("%w: %w", ErrAttributes, err)
		}
		u.Set = append(u.Set, KeyAttributes{kid, attributes})
	}
	for i := range u.Limits {
		if err := u.Limits[i].Check(); err != nil {
			return Unsigned{}, fmt.Errorf("%w: %w", ErrAttributes, err)
		}
	}
	if u.Settings != nil {
		if err := u.Settings.Check(); err != nil {
			return Unsigned{}, fmt.Errorf("%w: %w", ErrAttributes, err)
		}
	}
	return u, nil
}

// MarshalJSON returns an object with the members set, limits, settings, imported and dropped, as a database stores it beside a change.
func (u Unsigned) MarshalJSON() ([]byte, error) {
	return json.Marshal(u.wire(), json.Deterministic(true))
}

// UnmarshalJSON reads the form that MarshalJSON returns. It refuses unknown members, since a gateway that skips
// a restriction would accept too much. After an error, u is unchanged. Errors wrap ErrAttributes.
func (u *Unsigned) UnmarshalJSON(data []byte) error {
	var wire unsignedWire
	if err := json.Unmarshal(data, &wire, json.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("%w: %w", ErrAttributes, err)
	}
	read, err := wire.read()
	if err == nil {
		*u = read
	}
	return err
}
