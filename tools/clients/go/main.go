// Command clients runs a Go library of the client matrix: a token is a line in, the verdict a line out.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

var (
	issuer, jwksURI, audience = os.Getenv("ISSUER"), os.Getenv("JWKS_URI"), os.Getenv("AUDIENCE")
	asOnPage                  = os.Getenv("SETTING") == "page"
)

type verifier func(token string) error

var clients = map[string]func() (verifier, error){"go-oidc": goOIDC, "jwx": jwxCache, "jwx3": jwx3Cache, "keyfunc": keyFunc}

func main() {
	if os.Args[1] == "oauth2" {
		if err := oauth2Token(); err != nil {
			panic(err)
		}
		return
	}
	open, verify := clients[os.Args[1]], verifier(nil)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var err error
		if verify == nil {
			verify, err = open()
		}
		if err == nil {
			err = verify(in.Text())
		}
		if err != nil {
			fmt.Println("refused", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("accepted")
		}
	}
}
