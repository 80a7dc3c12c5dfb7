package outbound

import (
	"net/netip"

	"github.com/burnkey/burnkey/internal/networks"
)

var (
	// special lists the networks that IANA's registries of special-purpose addresses (RFC 6890)
	// do not call globally reachable. Private IPv4 networks (RFC 1918) are left out: producers
	// run receivers and providers there.
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
		"2001::/23",       // protocols, including Teredo, which embeds an IPv4 address
		"2001:db8::/32",   // documentation
		"2002::/16",       // 6to4, which embeds an IPv4 address
		"3fff::/20",       // documentation
	)
	// unicast is the part of IPv6 that is assigned on the internet. Outside of it are loopback,
	// IPv4-compatible, link-local, unique local (some clouds' metadata) and multicast addresses.
	unicast = netip.MustParsePrefix("2000::/3")
	// nat64 embeds an IPv4 address in the last 4 bytes (RFC 6052). The prefix for local use,
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

// isPublic reports whether an address is on the internet or in a private IPv4 network.
func isPublic(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		bytes := addr.As16()
		within := netip.AddrFrom4([4]byte(bytes[12:]))
		return isPublic(within) && !within.IsPrivate() // RFC 6052 section 3.1
	}
	return (addr.Is4() || unicast.Contains(addr)) && !special.Contains(addr)
}
