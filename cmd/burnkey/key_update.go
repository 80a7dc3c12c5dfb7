package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/jwks"
)

func keyUpdateCommand(k *calls) *cobra.Command {
	settings := keySettings("scope", "plan")
	cmd := oneKey(k, "update", "Change a key without a new token",
		func(c *client.Client, ctx context.Context, workspace, id string) (*client.Key, error) {
			patch, err := patchOf(settings)
			if err != nil {
				return nil, err
			}
			return c.UpdateKey(ctx, workspace, id, patch)
		}, keyRows)
	cmd.Long = "Change the settings of a key for which flags are given; its token stays the same. An empty value, such as\n" +
		"--plan '', resets a setting: scopes and expiry to those of the token. A flag that may be repeated replaces the\n" +
		"whole list. \"enforced by\" in the output says whether all gateways hold a setting, or only burnkey gateway."
	cmd.Example = "  burnkey key update ID -w acme --enabled=false --reason 'found in a public repository'\n" +
		"  burnkey key update ID -w acme --allowed-ip 192.0.2.0/24 --limit burst=100/60s --limit monthly=100000/month"
	settingFlags(cmd, settings)
	exclusive(cmd, "expires-at", "expires-in", "never-expires")
	return cmd
}

func keyUpdateManyCommand(k *calls) *cobra.Command {
	var in selection
	settings := keySettings("set-scope", "set-plan")
	cmd := &cobra.Command{
		Use:   "update-many",
		Short: "Change all keys of an owner, with a scope or plan, of an age, or long unused",
		Long: "Make the same change to the active and suspended keys, and old keys in their grace, that match all given flags.\n" +
			"--dry-run lists the keys that would change; --yes changes them. In the workspace burnkey, your own management key\n" +
			"is left out.",
		Example: "  burnkey key update-many -w acme --owner cust_1 --enabled=false --dry-run\n" +
			"  burnkey key update-many -w acme --plan trial --set-plan free --yes",
		Args: noArgs,
		RunE: k.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			patch, err := patchOf(settings)
			if err != nil {
				return err
			}
			update := client.KeyUpdate{Change: patch}
			return k.many(cmd, &in, "changed", func(s client.Selection) (*client.RevokedKeys, error) {
				update.Selection = s
				some, err := c.UpdateKeys(cmd.Context(), k.workspace, update)
				if err != nil {
					return nil, err
				}
				if some.NextCursor != nil {
					update.Cursor = *some.NextCursor
				}
				return &client.RevokedKeys{DryRun: some.DryRun, Count: some.Count, More: some.NextCursor != nil, Keys: some.Keys}, nil
			})
		}),
	}
	in.flags(cmd, "scope", "plan", "change them")
	settingFlags(cmd, settings)
	exclusive(cmd, "expires-at", "expires-in", "never-expires")
	return cmd
}

// keySettings returns the flags that change a key.
func keySettings(scope, plan string) (settings []*setting) {
	text, list, boolean := settingKind{"string", asText}, settingKind{"stringSlice", asList}, settingKind{"bool", asBool}
	add := func(name, member string, kind settingKind, usage string) {
		settings = append(settings, &setting{name: name, member: member, kind: kind, usage: usage})
	}
	add("enabled", "enabled", boolean, "false suspends the key, true resumes it")
	add("reason", "suspended_reason", text, "`TEXT` with the reason of the suspension")
	add("expires-at", "expires_at", settingKind{"TIME", asTime},
		"when the key expires: 2026-01-31T12:00:00Z or 2026-01-31 (default that of the token)")
	add("expires-in", "expires_at", settingKind{"DURATION", asTimeFromNow}, "the same, from now: 3600, 90m, 720h or 30d")
	add("never-expires", "never_expires", boolean, "whether the key is valid until it is revoked")
	add(scope, "scopes", list, "what the key may do; may be repeated (default that of the token)")
	add("allowed-ip", "allowed_ips", list, "`NETWORK` or address from which the key can be used; may be repeated (default any)")
	add(plan, "plan", text, "`NAME` of the plan whose limits the key has (default none)")
	add("limit", "limits", settingKind{"LIMIT", asLimits}, limitUsage)
	add("name", "name", text, "what the key is for")
	add("metadata", "metadata", settingKind{"OBJECT", asMetadata}, "a JSON OBJECT to merge into the stored metadata; null removes a member")
	return settings
}

const limitUsage = "`NAME=REQUESTS/PERIOD` of the key's own limit, such as burst=100/60s or monthly=100000/month; may be repeated"

func asTime(text string, _ any) (any, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return nil, errors.New("must be like 2026-01-31T12:00:00Z or 2026-01-31 (its beginning, in UTC)")
}

func asTimeFromNow(text string, _ any) (any, error) {
	var s span
	err := s.Set(text)
	return time.Now().UTC().Add(s.value), err
}

func asMetadata(text string, _ any) (any, error) {
	value, err := jsonFlag("metadata", text)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "--metadata: "))
	}
	return value, nil
}

func asLimits(text string, before any) (any, error) {
	limits, _ := before.([]jwks.Limit)
	limit, err := limitIn(text)
	return append(limits, limit), err
}

// limitIn reads a limit such as burst=100/60s or monthly=100000/month. The server checks names and bounds.
func limitIn(text string) (l jwks.Limit, err error) {
	bad := errors.New("must be like burst=100/60s or monthly=100000/month")
	name, rule, hasRule := strings.Cut(text, "=")
	count, period, hasPeriod := strings.Cut(rule, "/")
	requests, err := strconv.ParseUint(count, 10, 32)
	if err != nil || !hasRule || !hasPeriod {
		return l, bad
	}
	l = jwks.Limit{Name: name, Requests: uint32(requests)}
	switch period {
	case jwks.Day, jwks.Week, jwks.Month:
		l.Calendar = period
		return l, nil
	}
	var s span
	if s.Set(period) != nil || s.value > maxSeconds*time.Second {
		return jwks.Limit{}, bad
	}
	l.Seconds = uint32(s.value / time.Second)
	return l, nil
}

// maxSeconds is the greatest number of seconds that a jwks.Limit can hold; the server allows fewer.
const maxSeconds = math.MaxUint32

// limitFlag is a flag for a list of limits.
type limitFlag []jwks.Limit

// Set, String and Type implement pflag.Value.
func (f *limitFlag) Set(text string) error {
	limit, err := limitIn(text)
	if err == nil {
		*f = append(*f, limit)
	}
	return err
}

func (f *limitFlag) String() string { return limitsText(*f) }

// Type is the placeholder in the help text.
func (f *limitFlag) Type() string { return "LIMIT" }

func limitsText(limits []jwks.Limit) string {
	texts := make([]string, len(limits))
	for i, l := range limits {
		period := l.Calendar
		if period == "" {
			period = fmt.Sprintf("%ds", l.Seconds)
		}
		texts[i] = fmt.Sprintf("%s=%d/%s", l.Name, l.Requests, period)
	}
	return strings.Join(texts, " ")
}
