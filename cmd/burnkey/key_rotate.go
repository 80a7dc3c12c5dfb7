package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/client"
)

func keyRotateCommand(k *keyCalls) *cobra.Command {
	var grace graceFlag
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

// graceFlag is a lifetime that may be 0.
type graceFlag struct{ lifetime }

// Set implements pflag.Value.
func (g *graceFlag) Set(text string) error {
	if zero, err := authz.ParseDuration(text); err == nil && zero == 0 {
		g.text, g.value = text, 0
		return nil
	}
	if g.lifetime.Set(text) != nil {
		return errors.New("must be 0, or whole seconds, such as 3600, or like 90m, 720h or 30d")
	}
	return nil
}

func keyEndCommand(k *keyCalls) *cobra.Command {
	return keyRotationCommand(k, (*client.Client).EndGrace, "end-grace ID", "End a rotation's grace now: the old key is revoked")
}

func keyUndoCommand(k *keyCalls) *cobra.Command {
	return keyRotationCommand(k, (*client.Client).UndoRotation, "undo-rotation ID",
		"Undo a rotation within its grace: the successor is revoked, and the old key stays active")
}

func keyRotationCommand(k *keyCalls, call func(_ *client.Client, ctx context.Context, workspace, id string) (*client.Key, error),
	use, short string,
) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Long:  short + ".\nID is the old key's or its successor's; the old key is shown.",
		Args:  oneArg("the id of a key"),
		RunE: k.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			key, err := call(c, cmd.Context(), k.workspace, args[0])
			if err != nil {
				return err
			}
			return k.show(cmd, key.Raw.Reveal(), keyRows(key))
		}),
	}
}
