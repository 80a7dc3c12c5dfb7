// Package clientaddr finds the address of the client that sent a request, also where
// proxies stand between.
package clientaddr

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/burnkey/burnkey/internal/networks"
)

// Proxies are the networks of proxies whose word on a client's address is taken. None:
// the client is whoever opened the connection.
type Proxies networks.List

// Resolve makes r.RemoteAddr that of the client. X-Forwarded-For is read from its end,
// where the nearest proxy writes, for as long as the one that wrote is trusted: what lies
// beyond is the client's own word. Call it once, before anything reads r.RemoteAddr.
func (p Proxies) Resolve(r *http.Request) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.trusts(peer.Addr().Unmap()) {
		return
	}
	client := p.client(peer.Addr().Unmap(), strings.Join(r.Header.Values("X-Forwarded-For"), ","))
	r.RemoteAddr = netip.AddrPortFrom(client, 0).String() // its port is unknown
}

// client walks from a trusted proxy towards the client. An entry that is no address ends
// the walk, and the request counts as the proxy's that passed it on.
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

// parseEntry reads an address with or without a port, as some proxies write it.
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

// Of returns the address in a request's RemoteAddr, for people: without the port, and an
// IPv4 address as such.
func Of(remote string) string {
	addr, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	return addr.Addr().Unmap().String()
}

// Group returns what a limit by address counts: an IPv4 address, or the /64 of an IPv6
// address, within which one client has as many addresses as it likes.
func Group(remote string) string {
	with, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	addr := with.Addr().Unmap()
	if addr.Is4() {
		return addr.String()
	}
	return netip.PrefixFrom(addr.WithZone(""), 64).Masked().String()
}
