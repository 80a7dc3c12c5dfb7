package outbound

import (
	"net/netip"

	"github.com/burnkey/burnkey/internal/networks"
)

var (
	// special are networks that IANA's registries of special-purpose addresses (RFC 6890) do
	// not call globally reachable. Private IPv4 networks (RFC 1918) are absent: receivers and
	// providers of one's own are there.
	special = parsed(
		"0.0.0.0/8",       // this network
		"100.64.0.0/10",   // carriers' NAT (RFC 6598); some clouds' metadata
		"127.0.0.0/8",     // loopback
		"169.254.0.0/16",  // link-local; clouds' metadata
		"192.0.0.0/24",    // protocols
		"192.0.2.0/24",    // documentation
		"192.88.99.0/24",  // 6to4 relays
		"198.18.0.0/15",   // benchmarks
		"198.51.100.0/24", // documentation
		"203.0.113.0/24",  // documentation
		"224.0.0.0/4",     // multicast
		"240.0.0.0/4",     // reserved, and broadcast
		"2001::/23",       // protocols, among them Teredo, which has an IPv4 address within
		"2001:db8::/32",   // documentation
		"2002::/16",       // 6to4, which has an IPv4 address within
		"3fff::/20",       // documentation
	)
	// unicast is what of IPv6 is handed out for the internet. Beyond it are loopback,
	// IPv4-compatible, link-local, unique local (some clouds' metadata) and multicast addresses.
	unicast = netip.MustParsePrefix("2000::/3")
	// nat64 has an IPv4 address in its last 4 bytes (RFC 6052). The prefix for local use,
	// 64:ff9b:1::/48, is not public.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
)

func parsed(texts ...string) networks.List {
	list, err := networks.Parse(texts)
	if err != nil {
		panic(err)
	}
	return list
}

// isPublic reports whether an address is one of the internet, or of a private IPv4 network.
func isPublic(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		bytes := addr.As16()
		within := netip.AddrFrom4([4]byte(bytes[12:]))
		return isPublic(within) && !within.IsPrivate() // RFC 6052 section 3.1
	}
	return (addr.Is4() || unicast.Contains(addr)) && !special.Contains(addr)
}
