package main

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/oauth2/clientcredentials"
)

// oauth2Token prints an access token.
func oauth2Token() error {
	c := clientcredentials.Config{
		ClientID: os.Getenv("CLIENT_ID"), ClientSecret: os.Getenv("KEY"), TokenURL: os.Getenv("TOKEN_URI"), Scopes: []string{os.Getenv("SCOPE")},
	}
	token, err := c.Token(context.Background())
	if err == nil {
		fmt.Println(token.AccessToken)
	}
	return err
}
