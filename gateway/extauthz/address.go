package extauthz

import (
	"context"
	"net/netip"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/metadata"
)

// addressKey is the name of the client's address in a call's metadata, as `burnkey envoy config` renders it.
const addressKey = "burnkey-client-address"

// clientAddress returns the client's address as Envoy determined it, or the zero Addr if it is missing or invalid.
// Envoy fills source.address with its peer, even if it trusts proxies in front of it, so the metadata of the call
// goes first. Headers of the request are never read, since clients choose them.
func clientAddress(ctx context.Context, in *authv3.CheckRequest) netip.Addr {
	text := in.GetAttributes().GetSource().GetAddress().GetSocketAddress().GetAddress()
	switch sent := metadata.ValueFromIncomingContext(ctx, addressKey); len(sent) {
	case 0:
	case 1:
		text = sent[0]
	default:
		return netip.Addr{}
	}
	if text == "" {
		return netip.Addr{} // without the allocation of an error
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}
