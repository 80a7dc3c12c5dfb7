package main

import (
	"errors"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
)

func keyFindCommand(k *calls) *cobra.Command {
	var pepperFile string
	cmd := &cobra.Command{
		Use:   "find -|ID",
		Short: "Find a key by its id, kid or text, in any workspace",
		Long: "Find a key in any workspace: by its id or kid, by the digest of an imported key, or, on standard input (-), by\n" +
			"the key itself. Text around the key is ignored. The key is not sent: the server gets the kid of a token, or the\n" +
			"digest of an imported key. Revoked and expired keys are found, too.",
		Args: oneArg("the id or kid of a key, or - for standard input"),
		RunE: show(k, allKeyRows, func(cmd *cobra.Command, c *client.Client, args []string) (key *client.Key, err error) {
			names := args
			if args[0] == "-" {
				if names, err = namesOf(cmd.InOrStdin(), pepperFile); err != nil {
					return nil, err
				}
			}
			for _, name := range names {
				key, err = c.FindKey(cmd.Context(), name)
				if no := new(client.Problem); !errors.As(err, &no) || no.Status != http.StatusNotFound {
					break
				}
			}
			return key, err
		}),
	}
	cmd.Flags().StringVar(&pepperFile, "pepper-file", "",
		"`FILE` with the pepper of imported keys that were hashed with HMAC-SHA-256 (default none)")
	return cmd
}

var errNoKeyText = errors.New("standard input has no key")

// namesOf returns what the server may know the key in a text by: the kid of a token, or digests of imported keys.
func namesOf(in io.Reader, pepperFile string) (names []string, err error) {
	text, err := io.ReadAll(io.LimitReader(in, jwks.MaxPastedLen+1))
	if err != nil {
		return nil, err
	}
	if token, err := jwks.ReadPasted(string(text)); err == nil {
		_, jwt := jwks.CutPrefix(token.Reveal())
		return nameOf(jwt)
	}
	var pepper []byte
	if pepperFile != "" {
		if pepper, err = readPepper("--pepper-file", pepperFile); err != nil {
			return nil, err
		}
	}
	all := authz.OpaqueIn(jwks.Token(text))
	if pepper != nil { // first, so that the SHA-256 of a key that has such a digest is not sent
		for _, secret := range all {
			names = append(names, jwks.HMACDigest(pepper, secret.Reveal()).String())
		}
	}
	for _, secret := range all {
		names = append(names, jwks.SHA256Digest(secret.Reveal()).String())
	}
	if len(names) == 0 {
		return nil, errNoKeyText
	}
	return names, nil
}

// nameOf returns the kid of a token or, if it is an access token, the id of the key that was exchanged for it.
func nameOf(jwt string) ([]string, error) {
	parsed, err := jwks.Parse(jwt)
	if err != nil {
		return nil, err
	}
	if claims, err := parsed.Claims(); err == nil && claims.HasParent() {
		return []string{claims.RecordID()}, nil
	}
	return []string{parsed.KID.String()}, nil
}
