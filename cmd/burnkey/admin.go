package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/publish"
	"github.com/burnkey/burnkey/store"
)

func adminCommand() *cobra.Command {
	return group("admin", "Work directly on the database, without a server", adminIssueCommand(), auditCutCommand())
}

// adminIssue describes a management key to issue directly in a database.
type adminIssue struct {
	database, publicURL, name, tie string
	scopes                         []string
	life                           lifetime
}

func adminIssueCommand() *cobra.Command {
	var a adminIssue
	var out output
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issue a management key if the first one is lost",
		Long: "Issue a management key directly in the database. A server that uses the database accepts the key within\n" +
			"a second. By default the key has the scope admin and never expires.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			issued, err := a.run(cmd.Context(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			key, err := issuedKey(&issued)
			if err != nil {
				return err
			}
			return out.issued(cmd, key)
		},
	}
	databaseFlag(cmd, &a.database)
	flags := cmd.Flags()
	flags.StringVar(&a.publicURL, "public-url", "http://127.0.0.1:8080", "`URL` of the server, for the key's iss")
	flags.StringVar(&a.name, "name", "admin", "what the key is for")
	flags.StringSliceVar(&a.scopes, "scope", []string{authz.ScopeAdmin}, "what the key may do: "+strings.Join(authz.ManagementScopes(), ", "))
	flags.StringVar(&a.tie, "for-workspace", "", "restrict the key to this workspace")
	a.life.never = true
	a.life.flags(cmd, "")
	out.flag(cmd)
	return cmd
}

// issuedKey converts an issued key to the form of a server's answer, including its JSON text.
func issuedKey(k *authz.Issued) (*client.IssuedKey, error) {
	key := &client.IssuedKey{Token: k.Token, Key: client.Key{
		ID: k.ID.String(), KID: k.KID.String(), Workspace: k.Workspace, Owner: k.Owner, Name: k.Name, Scopes: k.Scopes, Audience: k.Audience,
		Status: "active", CreatedAt: k.CreatedAt, ExpiresAt: timeOrNil(k.ExpiresAt),
	}}
	text, err := json.Marshal(struct {
		Token string `json:"token"`
		client.Key
	}{k.Token.Reveal(), key.Key})
	key.Raw = client.Secret(text)
	return key, err
}

func (a *adminIssue) run(ctx context.Context, stderr io.Writer) (_ authz.Issued, err error) {
	if err := checkPublicURL(a.publicURL); err != nil {
		return authz.Issued{}, err
	}
	request, err := a.request()
	if err != nil {
		return authz.Issued{}, err
	}
	st, err := openExisting(ctx, "database", a.database, stderr)
	if err != nil {
		return authz.Issued{}, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	service, err := newService(st, publish.NewPublisher(st, nil), a.publicURL, nil, nil, mint.Options{})
	if err != nil {
		return authz.Issued{}, err
	}
	return service.IssueManagement(store.By(ctx, store.Actor{Kind: store.ActorCLI}), request)
}

func (a *adminIssue) request() (authz.IssueRequest, error) {
	r := authz.AdminRequest()
	r.Name, r.Scopes = a.name, a.scopes
	r.NeverExpires, r.ExpiresIn = a.life.forever(), a.life.seconds()
	if a.tie == "" {
		return r, nil
	}
	var err error
	r.Claims, err = json.Marshal(map[string]string{authz.TieClaim: a.tie})
	return r, err
}
