package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/mint"
)

func adminCommand() *cobra.Command {
	cmd := group("admin", "What an operator does on the database itself")
	cmd.AddCommand(adminIssueCommand())
	return cmd
}

func adminIssueCommand() *cobra.Command {
	var (
		database, publicURL, name, tie string
		scopes                         []string
		life                           lifetime
		out                            output
	)
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issue a management key where the first was lost",
		Long: "Issue a management key straight into the database. A server that runs on it takes the key within\n" +
			"a second. Without further flags the key is an admin's and never expires.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			ctx := cmd.Context()
			if err := checkPublicURL(publicURL); err != nil {
				return err
			}
			if err := existing(database); err != nil {
				return err
			}
			st, err := openStore(ctx, database)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.Close()) }()
			service, err := newService(st, authz.NewPublisher(st, nil), publicURL, mint.Options{})
			if err != nil {
				return err
			}
			request := authz.AdminRequest()
			request.Name = name
			request.Scopes = scopes
			if tie != "" {
				request.Claims = fmt.Appendf(nil, `{%q:%q}`, authz.TieClaim, tie)
			}
			if life.given() {
				request.NeverExpires = life.never
				request.ExpiresIn = life.seconds()
			}
			issued, err := service.IssueManagement(ctx, request)
			if err != nil {
				return err
			}
			return out.issued(cmd, issuedKey{
				Token: issued.Token.Reveal(),
				keyView: keyView{
					ID: issued.ID.String(), KID: issued.KID.String(), Workspace: issued.Workspace,
					Owner: issued.Owner, Name: issued.Name, Scopes: issued.Scopes, Status: "active",
					CreatedAt: issued.CreatedAt, ExpiresAt: timeOrNil(issued.ExpiresAt),
				},
			}, nil)
		},
	}
	databaseFlag(cmd, &database)
	flags := cmd.Flags()
	flags.StringVar(&publicURL, "public-url", "http://127.0.0.1:8080", "`URL` of the server, for the key's iss")
	flags.StringVar(&name, "name", "admin", "what the key is for")
	flags.StringSliceVar(&scopes, "scope", []string{authz.ScopeAdmin}, "what it may do: admin, keys:read, keys:write, workspaces:read, workspaces:write")
	flags.StringVar(&tie, "for-workspace", "", "tie it to this workspace")
	life.flags(cmd, "never")
	out.flag(cmd)
	return cmd
}
