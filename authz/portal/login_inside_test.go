package portal

import (
	"net/http"
	"testing"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

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

// Operators go to their own page as soon as there is one.
func TestAfterLogin(t *testing.T) {
	p := &portal{mux: http.NewServeMux(), base: authz.PortalPath}
	v := &visit{portal: p, workspace: store.Workspace{ID: "acme"}}
	nothing := func(http.ResponseWriter, *http.Request) {}
	p.mux.HandleFunc(authz.PortalPath+"/", nothing)
	p.mux.HandleFunc("GET "+authz.PortalPath+"/{ws}/keys", nothing)
	owner, operator := &store.Session{Role: store.RoleOwner}, &store.Session{Role: store.RoleOperator}
	if got := v.afterLogin(operator); got != "/portal/acme/keys" {
		t.Errorf("without their page, operators go to %s", got)
	}
	p.mux.HandleFunc("GET "+authz.PortalPath+"/{ws}/operator", nothing)
	if got, other := v.afterLogin(operator), v.afterLogin(owner); got != "/portal/acme/operator" || other != "/portal/acme/keys" {
		t.Errorf("operators go to %s, owners to %s", got, other)
	}
}
