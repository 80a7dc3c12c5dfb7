package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
)

func planCommand() *cobra.Command {
	var k calls
	return k.group("plan", "Create, show, change and delete plans: limits that keys have by name",
		k.inWorkspace(planCreateCommand(&k), planListCommand(&k), planShowCommand(&k), planUpdateCommand(&k), planDeleteCommand(&k))...)
}

func planRows(p *client.Plan) [][]string {
	if p.Limits == nil { // the management key may not read plans
		return [][]string{{"plan", p.Name}, {"other fields", "require the scope workspaces:read or keys:read"}}
	}
	rows := [][]string{
		{"plan", p.Name},
		{"description", p.Description},
		{"limits", limitsText(p.Limits)},
		{"created", when(&p.CreatedAt)},
		{"changed", when(&p.UpdatedAt)},
	}
	if p.Signed != "" {
		rows = slices.Insert(rows, 3, []string{"signed into tokens", p.Signed})
	}
	if p.Inherited {
		rows = append(rows, []string{"inherited", "from the first workspace of the environment"})
	}
	return rows
}

const planArg = "the name of a plan"

func planCreateCommand(k *calls) *cobra.Command {
	var in client.NewPlan
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create a plan", Args: oneArg(planArg),
		Example: "  burnkey plan create free -w acme --limit burst=100/60s --limit monthly=100000/month",
		RunE: show(k, planRows, func(cmd *cobra.Command, c *client.Client, args []string) (*client.Plan, error) {
			in.Name = args[0]
			return c.CreatePlan(cmd.Context(), k.workspace, in)
		}),
	}
	cmd.Flags().StringVar(&in.Description, "description", "", "`TEXT` for people")
	cmd.Flags().Var((*limitFlag)(&in.Limits), "limit", ruleUsage)
	cmd.Flags().StringVar(&in.Signed, "signed", "", signedUsage)
	return cmd
}

const (
	ruleUsage   = "`NAME=REQUESTS/PERIOD`, such as burst=100/60s or monthly=100000/month; may be repeated"
	signedUsage = "`NAME` of the limit that tokens issued from now on contain, for gateways that do not follow the feed"
)

func planListCommand(k *calls) *cobra.Command {
	return listCommand(k, "plans", "List plans", func(list []client.Plan) [][]string {
		rows := [][]string{{"PLAN", "LIMITS", "SIGNED", "DESCRIPTION"}}
		for _, p := range list {
			rows = append(rows, []string{p.Name, limitsText(p.Limits), p.Signed, p.Description})
		}
		return rows
	}, func(_ *cobra.Command, c *client.Client) (client.List[client.Plan], error) {
		return c.Plans(k.workspace), nil
	})
}

func planShowCommand(k *calls) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a plan", Args: oneArg(planArg),
		RunE: show(k, planRows, func(cmd *cobra.Command, c *client.Client, args []string) (*client.Plan, error) {
			return c.Plan(cmd.Context(), k.workspace, args[0])
		}),
	}
}

func planUpdateCommand(k *calls) *cobra.Command {
	settings := []*setting{
		{name: "description", member: "description", kind: settingKind{"string", asText}, usage: "`TEXT` for people"},
		{name: "limit", member: "limits", kind: settingKind{"LIMIT", asLimits}, usage: ruleUsage},
		{name: "signed", member: "signed", kind: settingKind{"string", asText}, usage: signedUsage},
	}
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change a plan for all its keys", Args: oneArg(planArg),
		Long: "Change the settings for which flags are given, for all keys with the plan at once. An empty value, such as\n" +
			"--signed '', resets a setting. --limit replaces the whole list. Tokens that contain a limit keep it as it was.",
		Example: "  burnkey plan update free -w acme --limit burst=200/60s --limit monthly=100000/month",
		RunE: show(k, planRows, func(cmd *cobra.Command, c *client.Client, args []string) (*client.Plan, error) {
			patch, err := patchOf(settings)
			if err != nil {
				return nil, err
			}
			return c.UpdatePlan(cmd.Context(), k.workspace, args[0], patch)
		}),
	}
	settingFlags(cmd, settings)
	return cmd
}

func planDeleteCommand(k *calls) *cobra.Command {
	return &cobra.Command{
		Use: "delete NAME", Short: "Delete a plan that no key has", Args: oneArg(planArg),
		RunE: k.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			return c.DeletePlan(cmd.Context(), k.workspace, args[0])
		}),
	}
}

func limitCommand() *cobra.Command {
	var k calls
	return k.group("limit", "Set, list and delete limits of owners, routes, addresses and whole workspaces",
		k.inWorkspace(limitSetCommand(&k), limitListCommand(&k), limitDeleteCommand(&k))...)
}

const onHelp = "owner OWNER counts all keys of an owner together (OWNER '*': of each owner without limits of its own), route NAME\n" +
	"all requests to a route of this name at burnkey gateway, address each client address, and total the whole workspace."

// subjectArgs reads the arguments ON [NAME].
func subjectArgs(_ *cobra.Command, args []string) error {
	if len(args) == 0 || !slices.Contains([]string{jwks.OnOwner, jwks.OnRoute, jwks.OnAddress, jwks.OnTotal}, args[0]) {
		return errors.New("requires owner OWNER, route NAME, address or total")
	}
	isNamed := args[0] == jwks.OnOwner || args[0] == jwks.OnRoute
	switch {
	case isNamed && len(args) != 2:
		return fmt.Errorf("%s: requires one name", args[0])
	case !isNamed && len(args) != 1:
		return fmt.Errorf("%s: takes no name", args[0])
	}
	return nil
}

// named returns the name in the arguments, or "".
func named(args []string) string { return strings.Join(args[1:], "") }

func limitSetCommand(k *calls) *cobra.Command {
	var in client.NewSharedLimits
	cmd := &cobra.Command{
		Use: "set owner|route|address|total [NAME]", Short: "Set limits that many keys share", Args: subjectArgs,
		Long: "Set limits, in place of earlier ones.\n" + onHelp,
		Example: "  burnkey limit set total -w acme --limit all=5000/1s\n" +
			"  burnkey limit set owner cust_1 -w acme --limit daily=1000000/day",
		RunE: show(k, sharedRows, func(cmd *cobra.Command, c *client.Client, args []string) (*client.SharedLimits, error) {
			return c.SetLimits(cmd.Context(), k.workspace, args[0], named(args), in)
		}),
	}
	cmd.Flags().StringVar(&in.Description, "description", "", "`TEXT` for people")
	cmd.Flags().Var((*limitFlag)(&in.Limits), "limit", ruleUsage)
	require(cmd, "limit")
	return cmd
}

func sharedRows(l *client.SharedLimits) [][]string {
	if l.Limits == nil { // the management key may not read limits
		return [][]string{{"changed", when(&l.UpdatedAt)}, {"other fields", "require the scope workspaces:read or keys:read"}}
	}
	return [][]string{
		{"on", l.On},
		{"name", l.Name},
		{"description", l.Description},
		{"limits", limitsText(l.Limits)},
		{"created", when(&l.CreatedAt)},
		{"changed", when(&l.UpdatedAt)},
	}
}

func limitListCommand(k *calls) *cobra.Command {
	return listCommand(k, "limits", "List limits of owners, routes, addresses and the workspace", func(list []client.SharedLimits) [][]string {
		rows := [][]string{{"ON", "NAME", "LIMITS", "DESCRIPTION"}}
		for _, l := range list {
			rows = append(rows, []string{l.On, l.Name, limitsText(l.Limits), l.Description})
		}
		return rows
	}, func(_ *cobra.Command, c *client.Client) (client.List[client.SharedLimits], error) {
		return c.SharedLimits(k.workspace), nil
	})
}

func limitDeleteCommand(k *calls) *cobra.Command {
	return &cobra.Command{
		Use: "delete owner|route|address|total [NAME]", Short: "Delete limits", Args: subjectArgs,
		RunE: k.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			return c.DeleteLimits(cmd.Context(), k.workspace, args[0], named(args))
		}),
	}
}
