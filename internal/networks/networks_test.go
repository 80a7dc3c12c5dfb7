package networks_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/internal/networks"
)

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"0.0.0.0/0": "every address", "::/0": "every address", "::ffff:0.0.0.0/96": "every address", "10.0.0.1/8": "10.0.0.0/8",
		"": "network", "proxy.internal": "network", "10.0.0.0/33": "network", "fe80::1%eth0": "network", "10.0.0.0/8,192.0.2.1": "network",
	} {
		if _, err := networks.Parse([]string{"192.0.2.1", text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}

func TestContains(t *testing.T) {
	l, err := networks.Parse([]string{"10.0.0.0/8", "192.0.2.7", "::ffff:172.16.0.0/108", "fd00::/8"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"10.255.0.1": true, "::ffff:10.0.0.1": true, "192.0.2.7": true, "192.0.2.8": false, "172.31.0.1": true, "172.32.0.1": false,
		"fd00::1%eth0": true, "fe00::1": false, "::10.0.0.1": false,
	} {
		if got := l.Contains(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost.": true, "a.localhost": true, "127.0.0.1": true, "127.1.2.3": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.example": false, "10.0.0.1": false, "::": false, "0.0.0.0": false, "127.0.0.1.example": false,
	} {
		if got := networks.IsLoopback(host); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}
