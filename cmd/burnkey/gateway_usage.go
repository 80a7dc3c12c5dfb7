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

// usageReports is how gateway reports to the server which keys are used.
type usageReports struct {
	every   time.Duration // 0: never
	keyFile string
	given   *pflag.FlagSet // for errors that name a flag as given
}

const usageEvery = time.Minute

func (u *usageReports) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	u.given = flags
	intervalFlag(flags, &u.every, "usage-every", usageEvery, "about how often to report to the server which keys were used; 0: never")
	flags.StringVar(&u.keyFile, "usage-key-file", "",
		"`FILE` with a management key of the scope gateway, for --workspace: it reports use and gets a reserved place at the change "+
			"stream (default: neither)")
}

// reportsUsage says whether the server is told.
func (s *gatewayService) reportsUsage() bool {
	return s.usage.every > 0 && (len(s.workspaces) == 0 || s.usage.keyFile != "")
}

// checkUsage refuses flags that contradict one another, and a key that could report
// of none, or not of all, of the workspaces.
func (s *gatewayService) checkUsage() error {
	keyFile, every := asGiven(s.flags, "usage-key-file"), asGiven(s.flags, "usage-every")
	switch {
	case s.usage.every < 0:
		return fmt.Errorf("%s: must not be negative", every)
	case s.usage.keyFile != "" && len(s.workspaces) == 0:
		return fmt.Errorf("%s: is for --workspace; for every workspace, the key of --key-file is used", keyFile)
	case s.usage.keyFile == "" && len(s.workspaces) > 0 && s.flags.Changed("usage-every") && s.usage.every > 0:
		return fmt.Errorf("%s: says nothing without --usage-key-file", every)
	case s.usage.keyFile == "":
		return nil
	}
	key, err := s.usage.credential()
	if err != nil {
		return err
	}
	claims, err := readClaims(key)
	if err != nil {
		return fmt.Errorf("%s: holds no management key: %w", keyFile, err)
	}
	var tie map[string]any
	_ = json.Unmarshal(claims.Extra, &tie) // of what is no claim, the server knows
	if tied, is := tie[authz.TieClaim].(string); is && slices.ContainsFunc(s.workspaces, func(id string) bool { return id != tied }) {
		return fmt.Errorf("%s: holds a key that is tied to the workspace %s, and can't be used for another one", keyFile, tied)
	}
	return nil
}

// credential reads the key anew, since the file may change.
func (u *usageReports) credential() (string, error) {
	return readKeyFile(asGiven(u.given, "usage-key-file"), u.keyFile)
}

// usageOptions sets those that are about it.
func (s *gatewayService) usageOptions(o *gateway.Options) {
	if s.reportsUsage() {
		o.UsageEvery = s.usage.every
	}
	if s.usage.keyFile != "" { // it also gets a reserved place at the change stream
		o.UsageKey = s.usage.credential
	}
}

func (s *gatewayService) announceUsage(log *slog.Logger) {
	if s.usage.keyFile != "" {
		warnOfScopes(log, s.usage.credential)
	}
	switch {
	case s.reportsUsage():
		log.Info("the server is told which keys are used", "every", s.usage.every)
	case s.usage.every == 0 && s.usage.keyFile != "":
		log.Info("use is not reported, because of --usage-every 0; the key of --usage-key-file is for a place at the change stream alone")
	case s.usage.every == 0:
		log.Info("the server is not told which keys are used, because of --usage-every 0")
	default:
		log.Info("the server is not told which keys are used; --usage-key-file names a key to tell it with")
	}
}
