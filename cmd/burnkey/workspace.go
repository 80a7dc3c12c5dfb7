package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/client"
)

func workspaceRows(w *client.Workspace) [][]string {
	if w.Audiences == nil { // the management key may not read workspaces
		return [][]string{{"workspace", w.ID}, {"issuer", w.Issuer}, {"other fields", "require the scope workspaces:read"}}
	}
	never := map[bool]string{true: "allowed", false: "refused"}[w.AllowNeverExpires]
	if w.AllowNeverExpires && w.Policy != nil && w.Policy.MaxExpiresIn > 0 {
		never = "refused, since lifetimes are limited"
	}
	rows := [][]string{
		{"workspace", w.ID},
		{"name", w.Name},
		{"audiences", strings.Join(w.Audiences, " ")},
		{"never-expiring keys", never},
		{"issuer", w.Issuer},
		{"jwks_uri", w.JWKSURI},
		{"version", strconv.FormatUint(w.Version, 10)},
		{"created", when(&w.CreatedAt)},
	}
	return slices.Concat(rows, usageRows(w), policyRows(w.Policy), portalRows(w))
}

// usageRows shows for how long the use of keys is known: without that, no key is known to be unused.
func usageRows(w *client.Workspace) [][]string {
	if w.UsageReportedAt == nil {
		return [][]string{{"use of keys", "no gateway reports it"}}
	}
	return [][]string{
		{"use known since", when(w.UsageSince)},
		{"use last reported", when(w.UsageReportedAt)},
	}
}

func workspaceCommand() *cobra.Command {
	var r remote
	var out output
	cmd := group("workspace", "Create, look at and change workspaces, on a running server")
	r.flags(cmd)
	out.flag(cmd)
	cmd.AddCommand(workspaceCreateCommand(&r, &out), workspaceListCommand(&r, &out), workspaceShowCommand(&r, &out),
		workspaceUpdateCommand(&r, &out))
	return cmd
}

func workspaceCreateCommand(r *remote, out *output) *cobra.Command {
	var in client.NewWorkspace
	in.AllowNeverExpires = new(bool)
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Create a workspace",
		Args:  oneArg("the id of a workspace"),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			in.ID = args[0]
			w, err := c.CreateWorkspace(cmd.Context(), in)
			if err != nil {
				return err
			}
			return out.show(cmd, w.Raw.Reveal(), workspaceRows(w))
		}),
	}
	cmd.Flags().StringVar(&in.Name, "name", "", "name for people (default the id)")
	cmd.Flags().StringSliceVar(&in.Audiences, "audience", nil, "aud of its keys; may be repeated (default the id)")
	cmd.Flags().BoolVar(in.AllowNeverExpires, "allow-never-expires", true, "whether keys without exp may be issued")
	return cmd
}

func workspaceListCommand(r *remote, out *output) *cobra.Command {
	limit := 100
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List workspaces",
		Args:  noArgs,
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			found, err := list(cmd.Context(), c.Workspaces(), limit, "workspaces", func(w *client.Workspace) client.Secret { return w.Raw })
			if err != nil {
				return err
			}
			rows := [][]string{{"WORKSPACE", "NAME", "AUDIENCES", "VERSION", "CREATED"}}
			for _, w := range found.items {
				rows = append(rows, []string{
					w.ID, w.Name, strings.Join(w.Audiences, " "),
					strconv.FormatUint(w.Version, 10), when(&w.CreatedAt),
				})
			}
			return found.show(cmd, out, rows)
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "maximum number of workspaces; 0: all")
	return cmd
}

func workspaceShowCommand(r *remote, out *output) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a workspace with its policy and its portal's settings",
		Args:  oneArg("the id of a workspace"),
		RunE: r.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			w, err := c.Workspace(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return out.show(cmd, w.Raw.Reveal(), workspaceRows(w))
		}),
	}
}
