// Package clientaddr finds the address of the client that sent a request, directly or through proxies.
package clientaddr

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/burnkey/burnkey/internal/networks"
)

// Proxies are the networks of proxies that are trusted to name the client's address. If empty,
// the client is the peer of the connection.
type Proxies networks.List

// Resolve sets r.RemoteAddr to the client's address. It reads X-Forwarded-For backwards, since each proxy
// appends an entry, and stops at the first address that is not a trusted proxy: a client can forge all
// entries before it. Call Resolve once, before anything reads r.RemoteAddr.
func (p Proxies) Resolve(r *http.Request) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.trusts(peer.Addr().Unmap()) {
		return
	}
	client := p.client(peer.Addr().Unmap(), strings.Join(r.Header.Values("X-Forwarded-For"), ","))
	r.RemoteAddr = netip.AddrPortFrom(client, 0).String() // its port is unknown
}

// client reads X-Forwarded-For backwards from the address of a trusted proxy. At an invalid entry it
// returns the address of the proxy that appended the entry.
func (p Proxies) client(at netip.Addr, forwarded string) netip.Addr {
	for more := forwarded != ""; more && p.trusts(at); {
		var entry string
		if i := strings.LastIndexByte(forwarded, ','); i >= 0 {
			forwarded, entry = forwarded[:i], forwarded[i+1:]
		} else {
			entry, more = forwarded, false
		}
		if entry = strings.TrimSpace(entry); entry == "" { // RFC 9110 section 5.6.1.2
			continue
		}
		next, ok := parseEntry(entry)
		if !ok {
			return at
		}
		at = next
	}
	return at
}

// parseEntry reads an address, with or without a port: some proxies append the port.
func parseEntry(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		var with netip.AddrPort
		with, err = netip.ParseAddrPort(text)
		addr = with.Addr()
	}
	return addr.Unmap().WithZone(""), err == nil
}

func (p Proxies) trusts(addr netip.Addr) bool { return networks.List(p).Contains(addr) }

// Of formats a request's RemoteAddr for display: without the port, and an IPv4-mapped IPv6 address as IPv4.
func Of(remote string) string {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	return addr.Addr().Unmap().String()
}

// Network returns the key by which clients are limited: the address without its port, or the /64 network of
// an IPv6 address, since one client usually has the whole network. It returns an invalid address unchanged.
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
