// Command k8s runs the JWT authenticator of Kubernetes' API server in the client matrix: a token is a line in, the verdict a line out.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
	"k8s.io/utils/ptr"
)

type bundle []byte

func (b bundle) CurrentCABundleContent() []byte { return b }

func main() {
	ca, err := os.ReadFile(os.Getenv("CA_FILE"))
	if err != nil {
		panic(err)
	}
	a, err := oidc.New(context.Background(), oidc.Options{CAContentProvider: bundle(ca), JWTAuthenticator: apiserver.JWTAuthenticator{
		Issuer:        apiserver.Issuer{URL: os.Getenv("ISSUER"), Audiences: []string{os.Getenv("AUDIENCE")}},
		ClaimMappings: apiserver.ClaimMappings{Username: apiserver.PrefixedClaimOrExpression{Claim: "sub", Prefix: ptr.To("burnkey:")}},
	}})
	if err != nil {
		panic(err)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if _, ok, err := a.AuthenticateToken(context.Background(), in.Text()); ok && err == nil {
			fmt.Println("accepted")
		} else {
			fmt.Println("refused", strings.ReplaceAll(fmt.Sprint(err), "\n", " "))
		}
	}
}
