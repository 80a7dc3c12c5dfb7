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
	var k calls
	return k.group("portal", "Create links to the portal and end sessions, on a running server",
		k.inWorkspace(portalLinkCommand(&k), portalEndCommand(&k))...)
}

func portalLinkCommand(k *calls) *cobra.Command {
	var in client.NewPortalSession
	var life span
	var operator bool
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Print a link that opens one session of an owner, or of an operator",
		Long: "Print a link to the portal. The first person to open it can manage the owner's keys for half an hour, or as an\n" +
			"operator the keys of all owners for eight hours. Give it only to that person.",
		Args: noArgs,
		RunE: k.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if err := notEmpty(cmd.Flags(), "scope", "environment"); err != nil {
				return err
			}
			if operator {
				in.Role = "operator"
			}
			in.ExpiresIn = int64(life.value / time.Second)
			link, err := c.CreatePortalSession(cmd.Context(), k.workspace, in)
			if err != nil {
				return err
			}
			return k.link(cmd, link)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&in.Owner, "owner", "", "owner of the keys: the sub of their tokens")
	flags.BoolVar(&operator, "operator", false, "create a link for your own staff, who see the keys of all owners")
	flags.StringSliceVar(&in.ScopesAllowed, "scope", nil,
		"scope that keys created there may have; may be repeated (default the scopes that the workspace offers)")
	flags.StringVar(&in.Subject, "subject", "", "the person, for the audit, such as jane@acme.example (default the id of your management key)")
	flags.StringSliceVar(&in.Environments, "environment", nil,
		"`ID` of a workspace that the link opens, too: an environment of the workspace, or the one that it is an environment of; may be repeated")
	flags.StringVar(&in.ReturnURL, "return-url", "", "`URL` to which the portal links back")
	flags.Var(&life, "expires-in", "how long the link is valid: 600, 10m or 1h (default 10m)")
	exclusive(cmd, "owner", "operator")
	exclusive(cmd, "scope", "operator")
	oneRequired(cmd, "owner", "operator")
	return cmd
}

func portalEndCommand(k *calls) *cobra.Command {
	var owner string
	var all bool
	cmd := &cobra.Command{
		Use:   "end",
		Short: "End an owner's sessions and links, or all of a workspace",
		Long: "End the portal's sessions and links at once, including sessions that began with a login: those of an owner, or\n" +
			"with --all those of all owners and of your own staff. People who can log in may do so again. Revoking a\n" +
			"management key also ends the sessions and links that it created.",
		Args: noArgs,
		RunE: show(k, endedRows, func(cmd *cobra.Command, c *client.Client, _ []string) (*client.EndedSessions, error) {
			switch {
			case all:
				return c.EndAllPortalSessions(cmd.Context(), k.workspace)
			case owner == "":
				return nil, fmt.Errorf("%s: must not be empty; --all is for all owners", asGiven(cmd.Flags(), "owner"))
			}
			return c.EndPortalSessions(cmd.Context(), k.workspace, owner)
		}),
	}
	cmd.Flags().StringVar(&owner, "owner", "", "end those of this owner: the sub of their tokens")
	cmd.Flags().BoolVar(&all, "all", false, "end those of all owners and of your own staff")
	exclusive(cmd, "owner", "all")
	oneRequired(cmd, "owner", "all")
	return cmd
}

func endedRows(s *client.EndedSessions) [][]string {
	return [][]string{{"ended", strconv.Itoa(s.Ended)}}
}

// link prints only the link; on a terminal, also a note.
func (o *output) link(cmd *cobra.Command, s *client.PortalSession) error {
	url := strings.TrimSpace(s.URL.Reveal())
	return o.alone(cmd, s, url, [][]string{{url}}, "It works once, until "+when(&s.ExpiresAt)+".")
}
