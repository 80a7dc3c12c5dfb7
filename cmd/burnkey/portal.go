package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func portalCommand() *cobra.Command {
	var c client
	var out output
	cmd := group("portal", "Make links to the portal and end sessions, on a running server")
	c.flags(cmd)
	out.flag(cmd)
	cmd.AddCommand(portalLinkCommand(&c, &out), portalEndCommand(&c, &out))
	return cmd
}

func portalSessions(workspace string) string {
	return "/v1/workspaces/" + url.PathEscape(workspace) + "/portal-sessions"
}

// newLink is the body of the call that makes a link.
type newLink struct {
	Role          string   `json:"role,omitempty"`
	Owner         string   `json:"owner,omitempty"`
	ScopesAllowed []string `json:"scopes_allowed,omitempty"`
	Subject       string   `json:"subject,omitempty"`
	ReturnURL     string   `json:"return_url,omitempty"`
	ExpiresIn     int64    `json:"expires_in,omitempty"`
}

func portalLinkCommand(c *client, out *output) *cobra.Command {
	var in newLink
	var life span
	var workspace string
	var operator bool
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Print a link that opens one session of an owner, or of an operator",
		Long: "Print a link to the portal. Whoever opens it first manages the owner's keys for half an hour, or as an operator\n" +
			"everybody's for eight. It is for them alone.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := notEmpty(cmd.Flags(), "scope"); err != nil {
				return err
			}
			if operator {
				in.Role = "operator"
			}
			in.ExpiresIn = int64(life.value / time.Second)
			var answer struct {
				URL       string    `json:"url"`
				ExpiresAt time.Time `json:"expires_at"`
			}
			text, err := c.call(cmd.Context(), http.MethodPost, portalSessions(workspace), nil, nil, in, &answer)
			if err != nil {
				return err
			}
			return out.link(cmd, text, answer.URL, answer.ExpiresAt)
		},
	}
	workspaceFlag(cmd, &workspace)
	flags := cmd.Flags()
	flags.StringVar(&in.Owner, "owner", "", "whose keys it is about: the sub of their tokens")
	flags.BoolVar(&operator, "operator", false, "make it for your own staff, who see the keys of all owners")
	flags.StringSliceVar(&in.ScopesAllowed, "scope", nil, "what keys made there may do; may be repeated (default what the workspace offers)")
	flags.StringVar(&in.Subject, "subject", "", "who it is, for the audit, such as jane@acme.example (default the id of your management key)")
	flags.StringVar(&in.ReturnURL, "return-url", "", "`URL` that its way back leads to")
	flags.Var(&life, "expires-in", "how long the link is good for: 600, 10m or 1h (default 10m)")
	cmd.MarkFlagsMutuallyExclusive("owner", "operator")
	cmd.MarkFlagsMutuallyExclusive("scope", "operator")
	cmd.MarkFlagsOneRequired("owner", "operator")
	return cmd
}

func portalEndCommand(c *client, out *output) *cobra.Command {
	var workspace, owner string
	var all bool
	cmd := &cobra.Command{
		Use:   "end",
		Short: "End an owner's sessions and links, or all of a workspace",
		Long: "End the portal's sessions and links at once, also those by a login: an owner's, or with --all everybody's, your own\n" +
			"staff's among them. Whoever may log in can do so again. Revoking a management key ends by itself what it made.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			query := make(url.Values)
			if !all {
				if owner == "" {
					return fmt.Errorf("%s: must not be empty; --all means everybody's", asGiven(cmd.Flags(), "owner"))
				}
				query.Set("owner", owner)
			}
			var answer struct {
				Ended int `json:"ended"`
			}
			text, err := c.call(cmd.Context(), http.MethodDelete, portalSessions(workspace), query, nil, nil, &answer)
			if err != nil {
				return err
			}
			return out.show(cmd, text, [][]string{{"ended", strconv.Itoa(answer.Ended)}})
		},
	}
	workspaceFlag(cmd, &workspace)
	cmd.Flags().StringVar(&owner, "owner", "", "whose: the sub of their tokens")
	cmd.Flags().BoolVar(&all, "all", false, "everybody's")
	cmd.MarkFlagsMutuallyExclusive("owner", "all")
	cmd.MarkFlagsOneRequired("owner", "all")
	return cmd
}

// link prints a link alone; a terminal gets a word with it.
func (o *output) link(cmd *cobra.Command, text []byte, link string, expires time.Time) error {
	asJSON, err := o.json()
	if err != nil {
		return err
	}
	if asJSON {
		return o.show(cmd, text, nil)
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), plain(strings.TrimSpace(link))); err != nil || !terminal(cmd.OutOrStdout()) {
		return err
	}
	_, err = fmt.Fprintln(cmd.ErrOrStderr(), "\nIt works once, until "+when(&expires)+".")
	return err
}
