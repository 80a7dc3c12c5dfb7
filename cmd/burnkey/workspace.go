package main

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz/api"
)

// workspaceView is a workspace as the API shows it; in a list, without its settings.
type workspaceView struct {
	ID                string      `json:"id"`
	Name              string      `json:"name"`
	Audiences         []string    `json:"audiences"`
	AllowNeverExpires bool        `json:"allow_never_expires"`
	Policy            *api.Policy `json:"policy"`
	Portal            *api.Portal `json:"portal"`
	Issuer            string      `json:"issuer"`
	JWKSURI           string      `json:"jwks_uri"`
	Version           uint64      `json:"version"`
	CreatedAt         time.Time   `json:"created_at"`
	UsageSince        *time.Time  `json:"usage_since"`
	UsageReportedAt   *time.Time  `json:"usage_reported_at"`
}

func (w *workspaceView) rows() [][]string {
	if w.Audiences == nil { // the management key may not read workspaces
		return [][]string{{"workspace", w.ID}, {"issuer", w.Issuer}, {"other fields", "require the scope workspaces:read"}}
	}
	never := map[bool]string{true: "allowed", false: "refused"}[w.AllowNeverExpires]
	if w.AllowNeverExpires && w.Policy != nil && w.Policy.MaxExpiresIn > 0 {
		never = "refused, since there is a longest life"
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
	return slices.Concat(rows, w.usageRows(), w.policyRows(), w.portalRows())
}

// usageRows words what is known of when keys were used, without which none is known to
// be unused.
func (w *workspaceView) usageRows() [][]string {
	if w.UsageReportedAt == nil {
		return [][]string{{"use of keys", "nobody reports it"}}
	}
	return [][]string{
		{"use known since", when(w.UsageSince)},
		{"use last reported", when(w.UsageReportedAt)},
	}
}

func workspaceCommand() *cobra.Command {
	var c client
	var out output
	cmd := group("workspace", "Create, look at and change workspaces, on a running server")
	c.flags(cmd)
	out.flag(cmd)
	cmd.AddCommand(workspaceCreateCommand(&c, &out), workspaceListCommand(&c, &out), workspaceShowCommand(&c, &out), workspaceUpdateCommand(&c, &out))
	return cmd
}

func workspaceCreateCommand(c *client, out *output) *cobra.Command {
	var in struct {
		ID                string   `json:"id"`
		Name              string   `json:"name,omitempty"`
		Audiences         []string `json:"audiences,omitempty"`
		AllowNeverExpires bool     `json:"allow_never_expires"`
	}
	cmd := &cobra.Command{
		Use:   "create ID",
		Short: "Create a workspace",
		Args:  oneArg("the id of a workspace"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in.ID = args[0]
			var w workspaceView
			text, err := c.call(cmd.Context(), http.MethodPost, "/v1/workspaces", nil, nil, in, &w)
			if err != nil {
				return err
			}
			return out.show(cmd, text, w.rows())
		},
	}
	cmd.Flags().StringVar(&in.Name, "name", "", "name for people (default the id)")
	cmd.Flags().StringSliceVar(&in.Audiences, "audience", nil, "aud of its keys; may be repeated (default the id)")
	cmd.Flags().BoolVar(&in.AllowNeverExpires, "allow-never-expires", true, "whether keys without exp may be issued")
	return cmd
}

func workspaceListCommand(c *client, out *output) *cobra.Command {
	limit := 100
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List workspaces",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found, err := list[workspaceView](cmd.Context(), c, "/v1/workspaces", nil, "workspaces", limit)
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
		},
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "at most so many; 0: all")
	return cmd
}

func workspaceShowCommand(c *client, out *output) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a workspace with its policy and how its portal looks",
		Args:  oneArg("the id of a workspace"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var w workspaceView
			text, err := c.call(cmd.Context(), http.MethodGet, "/v1/workspaces/"+url.PathEscape(args[0]), nil, nil, nil, &w)
			if err != nil {
				return err
			}
			return out.show(cmd, text, w.rows())
		},
	}
}
