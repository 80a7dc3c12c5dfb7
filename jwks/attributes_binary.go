package jwks

import (
	"encoding/binary"
	"fmt"
	"net/netip"
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
	if len(dst)-flags > slots.MaxText {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrAttributes, slots.MaxText)
	}
	return dst, nil
}

// check reports what the compact form and the JSON form cannot contain.
func (a *Attributes) check() error {
	if year := a.ExpiresAt.UTC().Year(); year < 0 || year > 9999 {
		return fmt.Errorf("expires_at is in the year %d", year)
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
	} {
		if has {
			flags |= 1 << i
		}
	}
	return flags
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

// readBinary reads what appendBinary wrote. The strings share the memory of text.
func (a *Attributes) readBinary(text string) {
	if text == "" {
		*a = Attributes{}
		return
	}
	in := compact{text[1:]}
	*a = Attributes{NeverExpires: text[0]&neverExpires != 0}
	if text[0]&hasExpiry != 0 {
		seconds, nanos := in.signed(), uint64(0)
		if text[0]&hasFraction != 0 {
			nanos = in.number()
		}
		a.ExpiresAt = time.Unix(seconds, int64(nanos)).UTC()
	}
	if text[0]&hasScopes != 0 {
		a.Scopes = in.scopes()
	}
	if text[0]&hasNetworks != 0 {
		a.AllowedIPs = in.networks()
	}
	if text[0]&hasPlan != 0 {
		a.Plan = in.text()
	}
	if text[0]&hasLimits != 0 {
		a.Limits = in.limits()
	}
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

func (c *compact) take(n int) string {
	taken := c.rest[:n]
	c.rest = c.rest[n:]
	return taken
}

func (c *compact) text() string { return c.take(int(c.number())) }

func (c *compact) scopes() []string {
	if count := int(c.number()); count == 0 {
		c.text()
		return []string{}
	}
	return strings.Split(c.text(), " ")
}

func (c *compact) networks() []netip.Prefix {
	networks := make([]netip.Prefix, c.number())
	for i := range networks {
		bits := int(c.byte())
		if bits < firstIPv6 {
			networks[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte([]byte(c.take(4)))), bits)
		} else {
			networks[i] = netip.PrefixFrom(netip.AddrFrom16([16]byte([]byte(c.take(16)))), bits-firstIPv6)
		}
	}
	return networks
}

func (c *compact) limits() []Limit {
	limits := make([]Limit, c.number())
	for i := range limits {
		limits[i].Name, limits[i].Requests = c.text(), uint32(c.number())
		if limits[i].Calendar = calendars[c.byte()]; limits[i].Calendar == "" {
			limits[i].Seconds = uint32(c.number())
		}
	}
	return limits
}
