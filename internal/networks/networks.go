// Package networks parses lists of networks given by an administrator, and recognizes hosts on this machine.
package networks

import (
	"fmt"
	"net/netip"
	"strings"
)

// IsLoopback reports whether a host name or an IP address means this machine.
func IsLoopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.Unmap().IsLoopback()
}

// List is a list of networks; IPv4 networks are not mapped to IPv6.
type List []netip.Prefix

// Parse reads networks (CIDR) and single addresses. It refuses a network of all addresses, and a network
// with bits set after its prefix, which is usually a typing error.
func Parse(texts []string) (List, error) {
	var all List
	for _, text := range texts {
		p, err := parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func parse(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%.50q must be a network such as 10.0.0.0/8, or an address", text)
	}
	if masked := p.Masked(); masked != p {
		return p, fmt.Errorf("%s has bits set beyond its length; the network is %s", text, masked)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Bits() == 0 {
		return p, fmt.Errorf("%s must not contain every address", text)
	}
	return p, nil
}

// Contains reports whether a network of the list contains the address. It ignores the address's zone and
// treats an IPv4-mapped address as IPv4.
func (l List) Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, network := range l {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}
