package jwks

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/burnkey/burnkey/jwks/internal/slots"
)

// A Table stores attributes in a compact form: a byte of flags, and then each member that is set. Numbers are
// varints, and a text follows its length.
const (
	hasExpiry = 1 << iota
	hasFraction
	neverExpires
	hasScopes
	hasNetworks
	hasPlan
	hasLimits
	hasGrace
)

// calendars number the periods of a limit; 0: it has seconds.
var calendars = [...]string{"", Day, Week, Month}

// appendBinary appends the compact form: nothing for the zero value. Errors wrap ErrAttributes.
func (a *Attributes) appendBinary(dst []byte) ([]byte, error) {
	if a.IsZero() {
		return dst, nil
	}
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAttributes, err)
	}
	flags := len(dst)
	dst = append(dst, a.flags())
	if dst[flags]&hasExpiry != 0 {
		dst = binary.AppendVarint(dst, a.ExpiresAt.Unix())
	}
	if dst[flags]&hasFraction != 0 {
		dst = binary.AppendUvarint(dst, uint64(a.ExpiresAt.Nanosecond()))
	}
	if a.Scopes != nil {
		dst = appendText(binary.AppendUvarint(dst, uint64(len(a.Scopes))), strings.Join(a.Scopes, " "))
	}
	if len(a.AllowedIPs) > 0 {
		dst = appendNetworks(dst, a.AllowedIPs)
	}
	if a.Plan != "" {
		dst = appendText(dst, a.Plan)
	}
	if len(a.Limits) > 0 {
		dst = appendLimits(dst, a.Limits)
	}
	if a.inGrace() {
		dst = appendTime(appendTime(dst, a.RotatedAt), a.EndsAt)
	}
	if len(dst)-flags > slots.MaxText {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrAttributes, slots.MaxText)
	}
	return dst, nil
}

// check reports what the compact form and the JSON form cannot contain.
func (a *Attributes) check() error {
	for _, at := range a.times() {
		if year := at.UTC().Year(); year < 0 || year > 9999 {
			return fmt.Errorf("a time is in the year %d", year)
		}
	}
	for _, scope := range a.Scopes {
		if strings.Contains(scope, " ") {
			return fmt.Errorf("the scope %q contains a space", scope)
		}
	}
	for i, network := range a.AllowedIPs {
		if !network.IsValid() {
			return fmt.Errorf("network %d of allowed_ips is invalid", i)
		}
	}
	return CheckLimits(a.Limits)
}

func (a *Attributes) flags() (flags byte) {
	for i, has := range [...]bool{
		!a.ExpiresAt.IsZero(), a.ExpiresAt.Nanosecond() != 0, a.NeverExpires,
		a.Scopes != nil, len(a.AllowedIPs) > 0, a.Plan != "", len(a.Limits) > 0,
		a.inGrace(),
	} {
		if has {
			flags |= 1 << i
		}
	}
	return flags
}

func appendTime(dst []byte, at time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(dst, at.Unix()), uint64(at.Nanosecond()))
}

func appendText(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

// appendNetworks writes an IPv6 network with its bits plus 33, so that one byte also says which address follows.
func appendNetworks(dst []byte, networks []netip.Prefix) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(networks)))
	for _, network := range networks {
		bits := network.Bits()
		if !network.Addr().Is4() {
			bits += firstIPv6
		}
		dst = append(append(dst, byte(bits)), network.Addr().AsSlice()...)
	}
	return dst
}

const firstIPv6 = 33

func appendLimits(dst []byte, limits []Limit) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(limits)))
	for _, l := range limits {
		dst = binary.AppendUvarint(appendText(dst, l.Name), uint64(l.Requests))
		for i, calendar := range calendars {
			if calendar == l.Calendar {
				dst = append(dst, byte(i))
			}
		}
		if l.Calendar == "" {
			dst = binary.AppendUvarint(dst, uint64(l.Seconds))
		}
	}
	return dst
}

// readBinary reads what appendBinary wrote, and returns the scopes as one text. The strings share the memory of
// text. It reuses the arrays of a.
func (a *Attributes) readBinary(text string) (scope string) {
	if text == "" {
		*a = Attributes{}
		return ""
	}
	in, flags := compact{text[1:]}, text[0]
	a.ExpiresAt, a.NeverExpires, a.Plan = time.Time{}, flags&neverExpires != 0, ""
	a.RotatedAt, a.EndsAt = time.Time{}, time.Time{}
	if flags&hasExpiry != 0 {
		seconds, nanos := in.signed(), uint64(0)
		if flags&hasFraction != 0 {
			nanos = in.number()
		}
		a.ExpiresAt = time.Unix(seconds, int64(nanos)).UTC()
	}
	if flags&hasScopes != 0 {
		a.Scopes, scope = in.scopes(a.Scopes[:0])
	} else {
		a.Scopes = nil
	}
	if flags&hasNetworks != 0 {
		a.AllowedIPs = in.networks(a.AllowedIPs[:0])
	} else {
		a.AllowedIPs = nil
	}
	if flags&hasPlan != 0 {
		a.Plan = in.text()
	}
	if flags&hasLimits != 0 {
		a.Limits = in.limits(a.Limits[:0])
	} else {
		a.Limits = nil
	}
	if flags&hasGrace != 0 {
		a.RotatedAt, a.EndsAt = in.time(), in.time()
	}
	return scope
}

// compact reads the compact form.
type compact struct{ rest string }

func (c *compact) byte() byte {
	b := c.rest[0]
	c.rest = c.rest[1:]
	return b
}

func (c *compact) number() (n uint64) {
	for shift := 0; ; shift += 7 {
		b := c.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
}

// signed reads what binary.AppendVarint wrote.
func (c *compact) signed() int64 {
	n := c.number()
	return int64(n>>1) ^ -int64(n&1)
}

func (c *compact) time() time.Time { return time.Unix(c.signed(), int64(c.number())).UTC() }

func (c *compact) take(n int) string {
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *compact) text() string { return c.take(int(c.number())) }

func (c *compact) scopes(into []string) (scopes []string, all string) {
	count, rest := int(c.number()), c.text()
	scopes, all = slices.Grow(into, max(1, count)), rest // an empty list is not nil
	for range count {
		scope, after, _ := strings.Cut(rest, " ")
		scopes, rest = append(scopes, scope), after
	}
	return scopes, all
}

func (c *compact) networks(into []netip.Prefix) []netip.Prefix {
	count := int(c.number())
	into = slices.Grow(into, count)
	for range count {
		var (
			at   netip.Addr
			bits = int(c.byte())
		)
		if bits < firstIPv6 {
			at = netip.AddrFrom4([4]byte([]byte(c.take(4))))
		} else {
			at, bits = netip.AddrFrom16([16]byte([]byte(c.take(16)))), bits-firstIPv6
		}
		into = append(into, netip.PrefixFrom(at, bits))
	}
	return into
}

func (c *compact) limits(into []Limit) []Limit {
	count := int(c.number())
	into = slices.Grow(into, count)
	for range count {
		l := Limit{Name: c.text(), Requests: uint32(c.number()), Calendar: calendars[c.byte()]}
		if l.Calendar == "" {
			l.Seconds = uint32(c.number())
		}
		into = append(into, l)
	}
	return into
}
