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
		{"token prefix", prefixText(w)},
		{"issuer", w.Issuer},
		{"jwks_uri", w.JWKSURI},
		{"version", strconv.FormatUint(w.Version, 10)},
		{"created", when(&w.CreatedAt)},
	}
	return slices.Concat(rows, usageRows(w), policyRows(w.Policy), portalRows(w))
}

func prefixText(w *client.Workspace) string {
	switch {
	case w.TokenPrefix == "":
		return "none"
	case w.BareTokensUntil == nil:
		return w.TokenPrefix
	}
	return w.TokenPrefix + "; tokens without it are accepted until " + when(w.BareTokensUntil)
}

// usageRows shows the period for which the use of keys is known. Without it, no key can be considered unused.
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
	var k calls
	return k.group("workspace", "Create, show and change workspaces on a running server",
		workspaceCreateCommand(&k), workspaceListCommand(&k), workspaceShowCommand(&k), workspaceUpdateCommand(&k))
}

func workspaceCreateCommand(k *calls) *cobra.Command {
	in := client.NewWorkspace{AllowNeverExpires: new(bool)}
	cmd := &cobra.Command{
		Use: "create ID", Short: "Create a workspace", Args: oneArg("the id of a workspace"),
		RunE: show(k, workspaceRows, func(cmd *cobra.Command, c *client.Client, args []string) (*client.Workspace, error) {
			in.ID = args[0]
			return c.CreateWorkspace(cmd.Context(), in)
		}),
	}
	cmd.Flags().StringVar(&in.Name, "name", "", "name to show to people (default the id)")
	cmd.Flags().StringSliceVar(&in.Audiences, "audience", nil, "audience that its keys may have; may be repeated (default the id)")
	cmd.Flags().StringVar(&in.TokenPrefix, "token-prefix", "", "`PREFIX` of its tokens, such as acme-live-; cannot be changed (default none)")
	cmd.Flags().BoolVar(in.AllowNeverExpires, "allow-never-expires", true, "whether keys without exp may be issued")
	return cmd
}

func workspaceListCommand(k *calls) *cobra.Command {
	return listCommand(k, "workspaces", "List workspaces", workspaceTable,
		func(_ *cobra.Command, c *client.Client) (client.List[client.Workspace], error) {
			return c.Workspaces(), nil
		})
}

func workspaceTable(list []client.Workspace) [][]string {
	rows := [][]string{{"WORKSPACE", "NAME", "AUDIENCES", "VERSION", "CREATED"}}
	for _, w := range list {
		rows = append(rows, []string{
			w.ID, w.Name, strings.Join(w.Audiences, " "), strconv.FormatUint(w.Version, 10), when(&w.CreatedAt),
		})
	}
	return rows
}

func workspaceShowCommand(k *calls) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show a workspace with its policy and its portal's settings", Args: oneArg("the id of a workspace"),
		RunE: show(k, workspaceRows, func(cmd *cobra.Command, c *client.Client, args []string) (*client.Workspace, error) {
			return c.Workspace(cmd.Context(), args[0])
		}),
	}
}
