package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/deploy/envoy"
)

// invite issues a key for the user to try, and prints commands that use it.
func (d *demo) invite() {
	if err := d.issue(context.Background()); err != nil {
		fmt.Fprintln(d.out, "No key to try:", err)
		return
	}
	file := filepath.Join(d.dir, "cust_1.token")
	if err := os.WriteFile(file, []byte(d.key.Token.Reveal()+"\n"), 0o600); err != nil {
		fmt.Fprintln(d.out, "No key to try:", err)
		return
	}
	fmt.Fprintf(d.out, "\nEverything keeps running until Ctrl-C. A key to try in another terminal, accepted %s:\n\n", d.soon())
	fmt.Fprintf(d.out, "  TOKEN=$(cat %s)\n", file)
	fmt.Fprintf(d.out, "  echo \"Authorization: Bearer $TOKEN\" | curl -i -H @- %s/hello\n", d.gateway)
	fmt.Fprintf(d.out, "\nRevoke the key, and try again:\n\n")
	fmt.Fprintf(d.out, "  echo \"$TOKEN\" | curl -i --data-urlencode token@- %s\n",
		envoy.Config{Server: d.server}.Issuer(demoWorkspace)+"/revoke")
	link, err := d.client.CreatePortalSession(context.Background(), demoWorkspace, client.NewPortalSession{Owner: demoOwner})
	if err != nil {
		fmt.Fprintln(d.out, "\nNo link to the customer's page:", err)
	} else {
		fmt.Fprintf(d.out, "\nOr as the customer, on their own page (the link works once, for 10 minutes):\n\n  %s\n", link.URL.Reveal())
	}
	fmt.Fprintf(d.out, "\nOr as the operator:\n\n")
	fmt.Fprintf(d.out, "  export BURNKEY_SERVER=%s BURNKEY_KEY_FILE=%s\n", d.server, d.keyFile)
	self, err := os.Executable()
	if err != nil {
		self = "burnkey"
	}
	fmt.Fprintf(d.out, "  %s key list --workspace %s\n  %s key issue --workspace %s --owner me\n  %s key revoke --workspace %s %s\n\n",
		self, demoWorkspace, self, demoWorkspace, self, demoWorkspace, d.key.ID)
}

// soon returns how soon a change takes effect.
func (d *demo) soon() string {
	if d.mode == "gateway" {
		return "at once"
	}
	return "within " + d.cache.String()
}
