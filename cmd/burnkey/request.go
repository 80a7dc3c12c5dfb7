package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/store"
)

func requestCommand() *cobra.Command {
	var k calls
	return k.group("request", "List, approve and decline what owners request: plans and scopes",
		k.inWorkspace(requestListCommand(&k), decideCommand(&k, "approve", "Approve a request: its key gets the plan or scopes",
			(*client.Client).ApproveRequest),
			decideCommand(&k, "decline", "Decline a request; its key stays as it is", (*client.Client).DeclineRequest))...)
}

func requestListCommand(k *calls) *cobra.Command {
	var f client.RequestFilter
	cmd := listCommand(k, "requests", "List requests, the newest first", requestTable,
		func(cmd *cobra.Command, c *client.Client) (client.List[client.Request], error) {
			return c.Requests(k.workspace, f), notEmpty(cmd.Flags(), "owner", "key-id", "status")
		})
	flags := cmd.Flags()
	flags.StringVar(&f.Status, "status", "", "only requests in this state: open, approved, declined or withdrawn")
	flags.StringVar(&f.Owner, "owner", "", "only requests for this owner's keys")
	flags.StringVar(&f.Key, "key-id", "", "only requests for the key with this `ID`")
	choices(cmd, "status", string(store.RequestOpen), string(store.RequestApproved), string(store.RequestDeclined),
		string(store.RequestWithdrawn))
	return cmd
}

func requestTable(list []client.Request) [][]string {
	rows := [][]string{{"REQUEST", "STATUS", "KEY", "OWNER", "WANTED", "REASON", "CREATED", "DECIDED", "ANSWER"}}
	for i := range list {
		r := &list[i]
		rows = append(rows, []string{r.ID, r.Status, r.Key, r.Owner, wanted(r), r.Reason, when(&r.CreatedAt), decided(r), r.Reply})
	}
	return rows
}

// decided returns the time of the decision, or "".
func decided(r *client.Request) string {
	if r.DecidedAt == nil {
		return ""
	}
	return when(r.DecidedAt)
}

// wanted returns the plan or the scopes that are requested.
func wanted(r *client.Request) string {
	if r.Plan != "" {
		return "plan " + r.Plan
	}
	return strings.Join(r.Scopes, " ")
}

func decideCommand(k *calls, name, short string,
	decide func(c *client.Client, ctx context.Context, workspace, id, reply string) (*client.Request, error),
) *cobra.Command {
	var answer string
	cmd := &cobra.Command{
		Use: name + " ID", Short: short, Args: oneArg("the id of a request"),
		Example: "  burnkey request " + name + " ID -w acme --answer 'as agreed by phone'",
		RunE: show(k, requestRows, func(cmd *cobra.Command, c *client.Client, args []string) (*client.Request, error) {
			return decide(c, cmd.Context(), k.workspace, args[0], answer)
		}),
	}
	cmd.Flags().StringVar(&answer, "answer", "", "`TEXT` for the owner")
	return cmd
}

func requestRows(r *client.Request) [][]string {
	rows := [][]string{
		{"request", r.ID}, {"key", r.Key}, {"status", r.Status}, {"created", when(&r.CreatedAt)}, {"decided", decided(r)},
	}
	if r.Partial() {
		return append(rows, []string{"other fields", "require the scope keys:read"})
	}
	return append(rows, []string{"owner", r.Owner}, []string{"wanted", wanted(r)}, []string{"reason", r.Reason}, []string{"answer", r.Reply})
}
