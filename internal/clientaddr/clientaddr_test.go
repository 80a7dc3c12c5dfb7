package clientaddr_test

import (
	"net/http"
	"testing"

	"github.com/burnkey/burnkey/internal/clientaddr"
	"github.com/burnkey/burnkey/internal/networks"
)

func TestResolve(t *testing.T) {
	trusted, err := networks.Parse([]string{"10.0.0.0/8", "2001:db8:1::/48", "192.0.2.7", "::ffff:172.16.0.0/108"})
	if err != nil {
		t.Fatal(err)
	}
	proxies := clientaddr.Proxies(trusted)
	for _, test := range []struct {
		name, peer string
		forwarded  []string
		want       string
	}{
		{"no header", "203.0.113.9:5", nil, "203.0.113.9"},
		{"a stranger's word", "203.0.113.9:5", []string{"198.51.100.1"}, "203.0.113.9"},
		{"a proxy's word", "10.1.1.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a proxy without a word", "10.1.1.1:5", nil, "10.1.1.1"},
		{"what the client wrote before it", "10.1.1.1:5", []string{"1.1.1.1, 198.51.100.1"}, "198.51.100.1"},
		{"a trusted address that the client wrote", "10.1.1.1:5", []string{"10.9.9.9, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "10.1.1.1:5", []string{"1.1.1.1, 198.51.100.1, 10.2.2.2"}, "198.51.100.1"},
		{"two proxies, two lines", "10.1.1.1:5", []string{"1.1.1.1, 198.51.100.1", "10.2.2.2"}, "198.51.100.1"},
		{"trusted throughout", "10.1.1.1:5", []string{"10.3.3.3,10.2.2.2"}, "10.3.3.3"},
		{"no address", "10.1.1.1:5", []string{"198.51.100.1, unknown"}, "10.1.1.1"},
		{"no address before a proxy", "10.1.1.1:5", []string{"<script>, 10.2.2.2"}, "10.2.2.2"},
		{"empty entries", "10.1.1.1:5", []string{" , 198.51.100.1 ,, "}, "198.51.100.1"},
		{"nothing but commas", "10.1.1.1:5", []string{",,,"}, "10.1.1.1"},
		{"with a port", "192.0.2.7:5", []string{"198.51.100.1:4711"}, "198.51.100.1"},
		{"in brackets", "[2001:db8:1::1]:5", []string{"[2001:db8:2::9]"}, "2001:db8:2::9"},
		{"in brackets with a port", "[2001:db8:1::1]:5", []string{"[2001:db8:2::9]:4711"}, "2001:db8:2::9"},
		{"mapped peer", "[::ffff:10.1.1.1]:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"mapped entry", "10.1.1.1:5", []string{"198.51.100.1, ::ffff:10.2.2.2"}, "198.51.100.1"},
		{"mapped client", "10.1.1.1:5", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"mapped network", "172.20.1.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"a zone", "10.1.1.1:5", []string{"fe80::1%zone\"x"}, "fe80::1"},
		{"no address at all", "@", []string{"198.51.100.1"}, "@"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &http.Request{RemoteAddr: test.peer, Header: http.Header{"X-Forwarded-For": test.forwarded}}
			proxies.Resolve(r)
			if got := clientaddr.Of(r.RemoteAddr); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			r = &http.Request{RemoteAddr: test.peer, Header: http.Header{"X-Forwarded-For": test.forwarded}}
			clientaddr.Proxies(nil).Resolve(r)
			if r.RemoteAddr != test.peer {
				t.Errorf("without proxies: got %s, want the peer %s", r.RemoteAddr, test.peer)
			}
		})
	}
}
