package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/gateway"
)

// usageReports configures the reports of key usage to the server.
type usageReports struct {
	every   time.Duration // 0: never
	keyFile string
	given   *pflag.FlagSet // for error messages
}

const usageEvery = time.Minute

func (u *usageReports) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	u.given = flags
	intervalFlag(flags, &u.every, "usage-every", usageEvery,
		"approximate interval of the reports to the server which keys were used; 0: no reports")
	flags.StringVar(&u.keyFile, "usage-key-file", "",
		"`FILE` with a management key that has the scope gateway, for --workspace: to report key usage and for a reserved place "+
			"at the change stream (default: neither)")
}

// reportsUsage says whether key usage is reported.
func (s *gatewayService) reportsUsage() bool {
	return s.usage.every > 0 && (len(s.workspaces) == 0 || s.usage.keyFile != "")
}

// checkUsage refuses contradictory flags, and a key that cannot report about every workspace.
func (s *gatewayService) checkUsage() error {
	keyFile, every := asGiven(s.flags, "usage-key-file"), asGiven(s.flags, "usage-every")
	switch {
	case s.usage.every < 0:
		return fmt.Errorf("%s: must not be negative", every)
	case s.usage.keyFile != "" && len(s.workspaces) == 0:
		return fmt.Errorf("%s: is for --workspace; for every workspace, the key of --key-file reports", keyFile)
	case s.usage.keyFile == "" && len(s.workspaces) > 0 && s.flags.Changed("usage-every") && s.usage.every > 0:
		return fmt.Errorf("%s: has no effect without --usage-key-file", every)
	case s.usage.keyFile == "":
		return nil
	}
	key, err := s.usage.credential()
	if err != nil {
		return err
	}
	claims, err := readClaims(key)
	if err != nil {
		return fmt.Errorf("%s: invalid management key: %w", keyFile, err)
	}
	var tie map[string]any
	_ = json.Unmarshal(claims.Extra, &tie) // the server refuses other forms
	if tied, is := tie[authz.TieClaim].(string); is && slices.ContainsFunc(s.workspaces, func(id string) bool { return id != tied }) {
		return fmt.Errorf("%s: the key is tied to the workspace %s and cannot be used for another", keyFile, tied)
	}
	return nil
}

// credential reads the key each time, since the file may change.
func (u *usageReports) credential() (string, error) {
	return readKeyFile(asGiven(u.given, "usage-key-file"), u.keyFile)
}

// usageOptions sets the Options for reports of key usage.
func (s *gatewayService) usageOptions(o *gateway.Options) {
	if s.reportsUsage() {
		o.UsageEvery = s.usage.every
	}
	if s.usage.keyFile != "" { // it also reserves a place at the change stream
		o.UsageKey = s.usage.credential
	}
}

func (s *gatewayService) announceUsage(log *slog.Logger) {
	if s.usage.keyFile != "" {
		warnOfScopes(log, s.usage.credential)
	}
	switch {
	case s.reportsUsage():
		log.Info("key usage is reported to the server", "every", s.usage.every)
	case s.usage.every == 0 && s.usage.keyFile != "":
		log.Info("key usage is not reported, because of --usage-every 0; the key of --usage-key-file only reserves a place at the change stream")
	case s.usage.every == 0:
		log.Info("key usage is not reported, because of --usage-every 0")
	default:
		log.Info("key usage is not reported; it takes a management key, in --usage-key-file")
	}
}
