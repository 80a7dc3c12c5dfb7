package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/mint"
	"github.com/burnkey/burnkey/store"
)

func adminCommand() *cobra.Command {
	cmd := group("admin", "Work on the database itself, without a server")
	cmd.AddCommand(adminIssueCommand(), auditCutCommand())
	return cmd
}

// adminIssue is a management key to be issued straight into a database.
type adminIssue struct {
	database, publicURL, name, tie string
	scopes                         []string
	life                           lifetime

	stderr io.Writer // is told when the database keeps it waiting
}

func adminIssueCommand() *cobra.Command {
	var a adminIssue
	var out output
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issue a management key when the first was lost",
		Long: "Issue a management key straight into the database. A server that runs on it takes the key within\n" +
			"a second. Without further flags the key is an admin's and never expires.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.stderr = cmd.ErrOrStderr()
			issued, err := a.run(cmd.Context())
			if err != nil {
				return err
			}
			return out.issued(cmd, issuedKey{
				Token: issued.Token.Reveal(),
				keyView: keyView{
					ID: issued.ID.String(), KID: issued.KID.String(), Workspace: issued.Workspace,
					Owner: issued.Owner, Name: issued.Name, Scopes: issued.Scopes, Audience: issued.Audience,
					Status: "active", CreatedAt: issued.CreatedAt, ExpiresAt: timeOrNil(issued.ExpiresAt),
				},
			}, nil)
		},
	}
	databaseFlag(cmd, &a.database)
	flags := cmd.Flags()
	flags.StringVar(&a.publicURL, "public-url", "http://127.0.0.1:8080", "`URL` of the server, for the key's iss")
	flags.StringVar(&a.name, "name", "admin", "what the key is for")
	flags.StringSliceVar(&a.scopes, "scope", []string{authz.ScopeAdmin}, "what it may do: "+strings.Join(authz.ManagementScopes(), ", "))
	flags.StringVar(&a.tie, "for-workspace", "", "tie it to this workspace")
	a.life.never = true
	a.life.flags(cmd, "")
	out.flag(cmd)
	return cmd
}

func (a *adminIssue) run(ctx context.Context) (_ authz.Issued, err error) {
	if err := errors.Join(checkPublicURL(a.publicURL), existing(a.database)); err != nil {
		return authz.Issued{}, err
	}
	request, err := a.request()
	if err != nil {
		return authz.Issued{}, err
	}
	st, err := openStore(ctx, a.database, slog.New(slog.NewTextHandler(a.stderr, nil)))
	if err != nil {
		return authz.Issued{}, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	service, err := newService(st, authz.NewPublisher(st, nil), a.publicURL, nil, mint.Options{})
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
