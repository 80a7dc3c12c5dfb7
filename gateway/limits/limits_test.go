package limits

import (
	"net/netip"
	"testing"
)

func TestNetwork(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.7":                "192.0.2.7",
		"::ffff:192.0.2.7":         "192.0.2.7",
		"2001:db8:1:2:3:4:5:6":     "2001:db8:1:2::",
		"2001:db8:1:2:ffff::1":     "2001:db8:1:2::",
		"fe80::1%eth0":             "fe80::",
		"2001:db8:1:3:3:4:5:6":     "2001:db8:1:3::",
		"::ffff:192.0.2.7%ignored": "192.0.2.7",
	} {
		if got := Network(netip.MustParseAddr(from)); got != netip.MustParseAddr(want) {
			t.Errorf("%s: got %s, want %s", from, got, want)
		}
	}
	if got := Network(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: got %s", got)
	}
}
