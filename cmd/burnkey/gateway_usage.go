package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"github.com/burnkey/burnkey/authz"
)

// reportsUsage reports whether the gateway reports key usage to the server.
func (s *gatewayService) reportsUsage() bool {
	return s.o.UsageEvery > 0 && (s.hasKey() || s.usageKeyFile != "")
}

// checkUsage refuses contradictory flags, and a management key that cannot report usage for every workspace.
func (s *gatewayService) checkUsage() error {
	keyFile, every := asGiven(s.flags, "usage-key-file"), asGiven(s.flags, "usage-every")
	switch {
	case s.o.UsageEvery < 0:
		return fmt.Errorf("%s: must not be negative", every)
	case s.usageKeyFile != "" && s.hasKey():
		return fmt.Errorf("%s: is for --workspace without --key-file, whose key reports usage as well", keyFile)
	case s.usageKeyFile == "" && !s.hasKey() && s.flags.Changed("usage-every") && s.o.UsageEvery > 0:
		return fmt.Errorf("%s: has no effect without --usage-key-file", every)
	case s.usageKeyFile == "":
		return nil
	}
	key, err := s.usageKey()
	if err != nil {
		return err
	}
	claims, err := readClaims(key)
	if err != nil {
		return fmt.Errorf("%s: invalid management key: %w", keyFile, err)
	}
	var tie map[string]any
	_ = json.Unmarshal(claims.Extra, &tie) // the server refuses other forms
	if tied, is := tie[authz.TieClaim].(string); is && slices.ContainsFunc(s.o.Workspaces, func(id string) bool { return id != tied }) {
		return fmt.Errorf("%s: the key is tied to the workspace %s and cannot be used for another", keyFile, tied)
	}
	return nil
}

// usageKey reads the key on each call, since the file can change.
func (s *gatewayService) usageKey() (string, error) {
	return readKeyFile(asGiven(s.flags, "usage-key-file"), s.usageKeyFile)
}

func (s *gatewayService) announceUsage(log *slog.Logger) {
	if s.usageKeyFile != "" {
		warnOfScopes(log, s.usageKey)
	}
	switch {
	case s.reportsUsage():
		log.Info("key usage is reported to the server", "every", s.o.UsageEvery)
	case s.o.UsageEvery > 0:
		log.Info("key usage is not reported; it takes a management key, in --usage-key-file")
	case s.usageKeyFile != "":
		log.Info("key usage is not reported, because of --usage-every 0; the key of --usage-key-file only reserves a place at the change stream")
	default:
		log.Info("key usage is not reported, because of --usage-every 0")
	}
}
