package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/client"
)

func portalCommand() *cobra.Command {
	var r remote
	var out output
	cmd := group("portal", "Make links to the portal and end sessions, on a running server")
	r.flags(cmd)
	out.flag(cmd)
	cmd.AddCommand(portalLinkCommand(&r, &out), portalEndCommand(&r, &out))
	return cmd
}

func portalLinkCommand(r *remote, out *output) *cobra.Command {
	var in client.NewPortalSession
	var life span
	var workspace string
	var operator bool
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Print a link that opens one session of an owner, or of an operator",
		Long: "Print a link to the portal. The first person to open it can manage the owner's keys for half an hour, or as an\n" +
			"operator the keys of all owners for eight hours. Give it to that person alone.",
		Args: noArgs,
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if err := notEmpty(cmd.Flags(), "scope"); err != nil {
				return err
			}
			if operator {
				in.Role = "operator"
			}
			in.ExpiresIn = int64(life.value / time.Second)
			link, err := c.CreatePortalSession(cmd.Context(), workspace, in)
			if err != nil {
				return err
			}
			return out.link(cmd, link)
		}),
	}
	workspaceFlag(cmd, &workspace)
	flags := cmd.Flags()
	flags.StringVar(&in.Owner, "owner", "", "owner of the keys: the sub of their tokens")
	flags.BoolVar(&operator, "operator", false, "make it for your own staff, who see the keys of all owners")
	flags.StringSliceVar(&in.ScopesAllowed, "scope", nil,
		"what keys created there may do; may be repeated (default the scopes that the workspace offers)")
	flags.StringVar(&in.Subject, "subject", "", "the person, for the audit, such as jane@acme.example (default the id of your management key)")
	flags.StringVar(&in.ReturnURL, "return-url", "", "`URL` of the way back from the portal")
	flags.Var(&life, "expires-in", "how long the link is valid: 600, 10m or 1h (default 10m)")
	exclusive(cmd, "owner", "operator")
	exclusive(cmd, "scope", "operator")
	oneRequired(cmd, "owner", "operator")
	return cmd
}

func portalEndCommand(r *remote, out *output) *cobra.Command {
	var workspace, owner string
	var all bool
	cmd := &cobra.Command{
		Use:   "end",
		Short: "End an owner's sessions and links, or all of a workspace",
		Long: "End the portal's sessions and links at once, also sessions by a login: an owner's, or with --all those of all\n" +
			"owners and of your own staff. People who may log in can do so again. Revoking a management key ends\n" +
			"automatically the sessions and links that it made.",
		Args: noArgs,
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, _ []string) (err error) {
			var ended *client.EndedSessions
			switch {
			case all:
				ended, err = c.EndAllPortalSessions(cmd.Context(), workspace)
			case owner == "":
				err = fmt.Errorf("%s: must not be empty; --all is for all owners", asGiven(cmd.Flags(), "owner"))
			default:
				ended, err = c.EndPortalSessions(cmd.Context(), workspace, owner)
			}
			if err != nil {
				return err
			}
			return out.show(cmd, ended.Raw.Reveal(), [][]string{{"ended", strconv.Itoa(ended.Ended)}})
		}),
	}
	workspaceFlag(cmd, &workspace)
	cmd.Flags().StringVar(&owner, "owner", "", "of this owner: the sub of their tokens")
	cmd.Flags().BoolVar(&all, "all", false, "of all owners, and of your own staff")
	exclusive(cmd, "owner", "all")
	oneRequired(cmd, "owner", "all")
	return cmd
}

// link prints a link alone; a terminal gets a note with it.
func (o *output) link(cmd *cobra.Command, s *client.PortalSession) error {
	asJSON, err := o.json()
	if err != nil {
		return err
	}
	if asJSON {
		return o.show(cmd, s.Raw.Reveal(), nil)
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), plain(strings.TrimSpace(s.URL.Reveal()))); err != nil || !terminal(cmd.OutOrStdout()) {
		return err
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "\nIt works once, until "+when(&s.ExpiresAt)+".")
	return err
}
