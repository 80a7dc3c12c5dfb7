package main

import (
	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/client"
)

func keyRotateCommand(k *calls) *cobra.Command {
	grace := span{orZero: true}
	var idempotencyKey string
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Issue a key's successor and print its token, this once",
		Long: "Issue a key with the fields of the old one. The old key works until the grace ends, and is then revoked\n" +
			"automatically. A pipe or a file gets the new token alone; a terminal also shows the other fields.",
		Args: oneArg("the id of a key"),
		RunE: k.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			var in client.Rotation
			if grace.text != "" {
				in.Grace = grace.value.String()
			}
			key, err := c.RotateKey(cmd.Context(), k.workspace, args[0], in, idempotencyKey)
			if err != nil {
				return err
			}
			return k.issued(cmd, key)
		}),
	}
	cmd.Flags().Var(&grace, "grace", "how long the old key keeps working: 0, 3600, 90m, 720h or 30d (default 24h)")
	cmd.Flags().StringVar(&idempotencyKey, "idempotency-key", "", "`TEXT` with which a repeat issues nothing")
	return cmd
}

// keyRotationCommand returns a command about a rotated key or its successor.
func keyRotationCommand(k *calls, use, short string, method keyMethod[*client.Key]) *cobra.Command {
	cmd := oneKey(k, use, short, method, keyRows)
	cmd.Long = short + ".\nID is the old key's or its successor's; the old key is shown."
	return cmd
}
