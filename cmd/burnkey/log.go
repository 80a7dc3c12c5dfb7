package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/internal/networks"
)

// warn reports a setting that works but is probably a mistake. It writes to the command's log or, if there is
// none, to standard error.
func warn(cmd *cobra.Command, text string) {
	format, level := cmd.Flags().Lookup("log-format"), cmd.Flags().Lookup("log-level")
	if format != nil && level != nil {
		if log, err := (&logging{format.Value.String(), level.Value.String()}).to(cmd.ErrOrStderr()); err == nil {
			log.Warn(text)
			return
		}
	}
	fmt.Fprintln(cmd.ErrOrStderr(), plain("burnkey: warning: "+text))
}

// warnAtStart warns about environment variables that have no effect, and about flags that expose a secret.
func warnAtStart(cmd *cobra.Command) {
	defer warnOfPassword(cmd)
	if cmd.Name() == "doctor" { // it reports the others as findings
		return
	}
	for _, text := range unknownVariables(cmd.Root(), os.Environ()) {
		warn(cmd, text)
	}
	if f := cmd.Flags().Lookup("redis"); f != nil && isPlainAbroad(f.Value.String()) {
		warn(cmd, asGiven(cmd.Flags(), "redis")+": without TLS to another machine, anyone in between can read the password and change counts; "+
			"use rediss")
	}
	for _, name := range []string{"server", "jwks"} {
		if f := cmd.Flags().Lookup(name); f != nil && isPlainAbroad(f.Value.String()) {
			warn(cmd, asGiven(cmd.Flags(), name)+": with plain HTTP to another machine, anyone in between can read keys and change "+
				"answers; use https")
		}
	}
}

// warnOfPassword warns about a password on the command line.
func warnOfPassword(cmd *cobra.Command) {
	for name, instead := range map[string]string{
		"database": "passfile=FILE or BURNKEY_DATABASE", "from": "passfile=FILE or BURNKEY_FROM", "redis": "BURNKEY_REDIS",
	} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && !isAmbient(cmd.Flags(), name) && hasPassword(f.Value.String()) {
			warn(cmd, "--"+name+": other users of this machine can read a password on the command line; use "+instead)
		}
	}
}

// isPlainAbroad reports whether a URL uses unencrypted HTTP, or Redis, to another machine.
func isPlainAbroad(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "redis" {
		return false
	}
	return !networks.IsLoopback(u.Hostname())
}

// isAbroad reports whether a HOST:PORT can be reached from other machines.
func isAbroad(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && !networks.IsLoopback(host)
}

// hasPassword reports whether a database URL contains a password.
func hasPassword(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}

// toolVariables are read by the tests, make and the compose file, but not by burnkey.
var toolVariables = []string{
	"BURNKEY_BIN", "BURNKEY_BLOCKS", "BURNKEY_CHROMIUM", "BURNKEY_ENVOY_CONFIG", "BURNKEY_POSTGRES", "BURNKEY_PYTHON",
	"BURNKEY_REDIS_SERVER", "BURNKEY_SITE", "BURNKEY_VULNDB",
}

// serviceLink matches variables that Kubernetes sets in pods for a Service whose name starts with "burnkey".
var serviceLink = regexp.MustCompile(`^(BURNKEY[A-Z0-9_]*)_SERVICE_HOST$`)

// unknownVariables returns a warning for each BURNKEY_ variable that matches no flag of any command.
func unknownVariables(root *cobra.Command, environ []string) (warnings []string) {
	names := append(flagNames(root), "key") // BURNKEY_KEY is the management key
	var links []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if m := serviceLink.FindStringSubmatch(name); m != nil {
			links = append(links, m[1]+"_SERVICE_", m[1]+"_PORT")
		}
	}
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		flag, ours := cutPrefixFold(name, "BURNKEY_")
		if !ours || slices.Contains(toolVariables, name) ||
			slices.ContainsFunc(links, func(link string) bool { return strings.HasPrefix(name, link) }) {
			continue
		}
		flag = strings.ToLower(strings.ReplaceAll(flag, "_", "-"))
		if slices.Contains(names, flag) && name == variable(flag) {
			continue
		}
		text := name + " in the environment has no effect: no command has such a flag"
		if near := alike(flag, names); len(near) > 0 {
			for i := range near {
				near[i] = variable(near[i])
			}
			text += "; did you mean " + strings.Join(near, " or ") + "?"
		}
		warnings = append(warnings, text)
	}
	return warnings
}

func cutPrefixFold(text, prefix string) (string, bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}

// flagNames returns the names of all flags of a command and its subcommands.
func flagNames(cmd *cobra.Command) (names []string) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "version" {
			names = append(names, f.Name)
		}
	})
	for _, sub := range cmd.Commands() {
		names = append(names, flagNames(sub)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// logging is how a long-running command logs.
type logging struct{ format, level string }

func (l *logging) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&l.format, "log-format", "text", "text or json")
	cmd.Flags().StringVar(&l.level, "log-level", "info", "debug, info, warn or error")
}

// to returns a logger that writes to w.
func (l *logging) to(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return nil, errors.New("--log-level: must be debug, info, warn or error")
	}
	options := &slog.HandlerOptions{Level: level}
	switch l.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, errors.New("--log-format: must be text or json")
}
