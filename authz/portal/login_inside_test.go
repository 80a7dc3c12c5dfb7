package portal

import "testing"

func TestRefuseInside(t *testing.T) {
	for address, inside := range map[string]bool{
		"127.0.0.1:443": true, "127.9.9.9:443": true, "[::1]:443": true, "[::ffff:127.0.0.1]:443": true, "0.0.0.0:443": true, "[::]:443": true,
		"169.254.169.254:80": true, "[fe80::1]:443": true, "[fe80::1%eth0]:443": true, "224.0.0.1:443": true, "nonsense": true,
		"192.0.2.1:443": false, "10.1.2.3:443": false, "[2001:db8::1]:443": false,
	} {
		if err := refuseInside("tcp", address, nil); (err != nil) != inside {
			t.Errorf("%s: %v", address, err)
		}
	}
}
