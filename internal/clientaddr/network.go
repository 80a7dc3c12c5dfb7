package clientaddr

import (
	"net"
	"net/netip"
)

// Network returns what a client's address, with or without a port, counts to where each
// client may have so much: the address, or of IPv6 the /64, of which one client has all.
// What is no address is returned as it is.
func Network(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return addr.String()
	}
	prefix, _ := addr.Prefix(64) // of an IPv6 address, there is one
	return prefix.String()
}
