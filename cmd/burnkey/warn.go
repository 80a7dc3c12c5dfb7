package main

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// warn reports what works but may not be what was meant: in the log of a command that has one,
// else on standard error.
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

// warnAtStart reports variables that set nothing, and flags by which others on the machine or on the
// network learn of a secret.
func warnAtStart(cmd *cobra.Command) {
	for _, text := range unknownVariables(cmd.Root(), os.Environ()) {
		warn(cmd, text)
	}
	for _, name := range []string{"server", "jwks"} {
		if f := cmd.Flags().Lookup(name); f != nil && isPlainAbroad(f.Value.String()) {
			warn(cmd, asGiven(cmd.Flags(), name)+": plain HTTP to another machine lets whoever is on the way read keys and alter answers; use https")
		}
	}
	if f := cmd.Flags().Lookup("database"); f != nil && f.Changed && !isAmbient(cmd.Flags(), "database") && hasPassword(f.Value.String()) {
		warn(cmd, "--database: other users of this machine can read a password on the command line; use passfile=FILE or BURNKEY_DATABASE")
	}
}

// isPlainAbroad says whether a URL is one of plain HTTP to another machine.
func isPlainAbroad(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" {
		return false
	}
	return !isLoopback(u.Hostname())
}

// isAbroad says whether other machines reach a HOST:PORT.
func isAbroad(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && !isLoopback(host)
}

func isLoopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// hasPassword says whether the URL of a database has one.
func hasPassword(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
}

// toolVariables are read by others than burnkey: by the tests, make and the compose file.
var toolVariables = []string{
	"BURNKEY_BIN", "BURNKEY_CHROMIUM", "BURNKEY_ENVOY_CONFIG", "BURNKEY_POSTGRES", "BURNKEY_PYTHON", "BURNKEY_VULNDB",
}

// serviceLink is what Kubernetes sets in pods for a Service that is named burnkey-something.
var serviceLink = regexp.MustCompile(`^(BURNKEY[A-Z0-9_]*)_SERVICE_HOST$`)

// unknownVariables words a warning for each variable of Burnkey's in the environment that is no flag
// of any command. One of another command's flags may be there for that command.
func unknownVariables(root *cobra.Command, environ []string) (warnings []string) {
	names := flagNames(root)
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
		if !ours || slices.Contains(toolVariables, name) || slices.ContainsFunc(links, func(link string) bool { return strings.HasPrefix(name, link) }) {
			continue
		}
		flag = strings.ToLower(strings.ReplaceAll(flag, "_", "-"))
		if slices.Contains(names, flag) && name == variable(flag) {
			continue
		}
		text := name + " in the environment sets nothing: no command has such a flag"
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

// flagNames lists what can be set by a variable: all flags of all commands, and the management key.
func flagNames(root *cobra.Command) []string {
	names := []string{"key"}
	add := func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "version" && !slices.Contains(names, f.Name) {
			names = append(names, f.Name)
		}
	}
	root.Flags().VisitAll(add)
	root.PersistentFlags().VisitAll(add)
	for _, cmd := range root.Commands() {
		for _, name := range flagNames(cmd) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
