package main

import (
	"errors"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/authz"
)

func keyRotateCommand(k *keyCalls) *cobra.Command {
	var grace graceFlag
	var idempotencyKey string
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Issue a key's successor and print its token, this once",
		Long: "Issue a key that says what the old one says. The old one works until the grace ends, and is then revoked by\n" +
			"itself. Into a pipe or a file goes the new token alone; a terminal shows the rest, too.",
		Args: oneArg("the id of a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]string{}
			if grace.text != "" {
				body["grace"] = grace.value.String()
			}
			header := make(http.Header)
			if idempotencyKey != "" {
				header.Set("Idempotency-Key", idempotencyKey)
			}
			var key issuedKey
			text, err := k.call(cmd.Context(), http.MethodPost, k.path(args[0], "rotate"), nil, header, body, &key)
			if err != nil {
				return err
			}
			return k.issued(cmd, key, text)
		},
	}
	cmd.Flags().Var(&grace, "grace", "how long the old key goes on working: 0, 3600, 90m, 720h or 30d (default 24h)")
	cmd.Flags().StringVar(&idempotencyKey, "idempotency-key", "", "`TEXT` with which a repeat issues nothing")
	return cmd
}

// graceFlag is a lifetime that may be 0.
type graceFlag struct{ lifetime }

// Set is pflag's.
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
	return keyRotationCommand(k, "end", "end-grace ID", "End a rotation's grace now: the old key is revoked")
}

func keyUndoCommand(k *keyCalls) *cobra.Command {
	return keyRotationCommand(k, "undo", "undo-rotation ID", "Undo a rotation within its grace: the successor is revoked, and the old key goes on")
}

// keyRotationCommand is a command about a rotation, named by the old key's id or its
// successor's. It shows the old key.
func keyRotationCommand(k *keyCalls, call, use, short string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Long:  short + ".\nID is the old key's or its successor's; the old key is shown.",
		Args:  oneArg("the id of a key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var key keyView
			text, err := k.call(cmd.Context(), http.MethodPost, k.path(args[0], "rotation", call), nil, nil, nil, &key)
			if err != nil {
				return err
			}
			return k.show(cmd, text, key.rows())
		},
	}
}
