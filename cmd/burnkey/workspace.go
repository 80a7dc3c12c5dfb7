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
		{"environment", environmentText(w)},
		{"audiences", strings.Join(w.Audiences, " ")},
		{"never-expiring keys", never},
		{"token prefix", prefixText(w)},
		{"issuer", w.Issuer},
		{"jwks_uri", w.JWKSURI},
		{"version", strconv.FormatUint(w.Version, 10)},
		{"created", when(&w.CreatedAt)},
	}
	return slices.Concat(rows, environmentRows(w), usageRows(w), policyRows(w.Policy), portalRows(w))
}

// environmentText returns the name of a workspace's environment and the workspace that it is one of.
func environmentText(w *client.Workspace) string {
	if w.EnvironmentOf == "" {
		return w.Environment
	}
	return w.Environment + " of " + w.EnvironmentOf
}

// environmentRows shows what an environment inherits, or the environments of a workspace.
func environmentRows(w *client.Workspace) (rows [][]string) {
	if w.EnvironmentOf != "" {
		return [][]string{{"inherits", strings.Join(append(slices.Clone(w.Inherits), "plans without changes"), ", ")}}
	}
	for _, e := range w.Environments {
		rows = append(rows, []string{"environment " + e.Environment, e.ID})
	}
	return rows
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
	var in client.NewWorkspace
	never := true
	cmd := &cobra.Command{
		Use: "create ID", Short: "Create a workspace",
		Long: "Create a workspace. With --environment-of, it is an environment of another workspace: it has keys and an issuer of its\n" +
			"own, and inherits policy, portal and plans until it has its own.",
		Example: "  burnkey workspace create acme-test --environment test --environment-of acme",
		Args:    oneArg("the id of a workspace"),
		RunE: show(k, workspaceRows, func(cmd *cobra.Command, c *client.Client, args []string) (*client.Workspace, error) {
			in.ID = args[0]
			if in.EnvironmentOf == "" || cmd.Flags().Changed("allow-never-expires") {
				in.AllowNeverExpires = &never
			}
			return c.CreateWorkspace(cmd.Context(), in)
		}),
	}
	cmd.Flags().StringVar(&in.Name, "name", "", "name to show to people (default the id)")
	cmd.Flags().StringSliceVar(&in.Audiences, "audience", nil, "audience that its keys may have; may be repeated (default the id)")
	cmd.Flags().StringVar(&in.TokenPrefix, "token-prefix", "", "`PREFIX` of its tokens, such as acme-live-; cannot be changed (default none)")
	cmd.Flags().BoolVar(&never, "allow-never-expires", true, "whether keys without exp may be issued")
	cmd.Flags().StringVar(&in.Environment, "environment", "", "name of the environment that it is, such as test (default live)")
	cmd.Flags().StringVar(&in.EnvironmentOf, "environment-of", "", "`ID` of the workspace that it is an environment of (default none)")
	return cmd
}

func workspaceListCommand(k *calls) *cobra.Command {
	var of string
	cmd := listCommand(k, "workspaces", "List workspaces", workspaceTable,
		func(_ *cobra.Command, c *client.Client) (client.List[client.Workspace], error) {
			if of != "" {
				return c.Environments(of), nil
			}
			return c.Workspaces(), nil
		})
	cmd.Flags().StringVar(&of, "environment-of", "", "`ID` of a workspace whose environments are listed (default all workspaces)")
	return cmd
}

func workspaceTable(list []client.Workspace) [][]string {
	rows := [][]string{{"WORKSPACE", "NAME", "ENVIRONMENT", "AUDIENCES", "VERSION", "CREATED"}}
	for _, w := range list {
		rows = append(rows, []string{
			w.ID, w.Name, environmentText(&w), strings.Join(w.Audiences, " "), strconv.FormatUint(w.Version, 10), when(&w.CreatedAt),
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
