package clientaddr

import (
	"net"
	"net/netip"
)

// Network returns what limits by client count: the address without its port, or the /64 network
// of an IPv6 address, since one client usually has all of it. It returns an invalid address as
// it is.
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
	prefix, _ := addr.Prefix(64) // valid for every IPv6 address
	return prefix.String()
}
