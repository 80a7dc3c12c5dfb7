// Command burnkey is the authorization server for API keys, with the gateway and the command line tools.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/internal/undumpable/early"
)

// version is set when the binary is built.
var version = "dev"

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	// Package early protects secrets in the memory of this process. If that fails, no command runs.
	err := early.Err
	if err == nil {
		err = rootCommand().ExecuteContext(ctx)
	}
	var quiet exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &quiet):
		return int(quiet)
	default:
		report(os.Stderr, err)
		return 1
	}
}

// report prints a command's error. Control characters are replaced, since parts of the error can come from a
// server. Each tab, by which cobra indents its suggestions, becomes two spaces.
func report(w io.Writer, err error) {
	for line := range strings.Lines("burnkey: " + err.Error() + "\n") {
		fmt.Fprintln(w, plain(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "  ")))
	}
}

// exitError ends the program with an exit status and prints no message.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "burnkey",
		Short: "An authorization server for API keys that cannot be forged",
		Long: "Burnkey issues API keys as RS256 JWTs. Each is signed with its own key pair, whose private half is destroyed at\n" +
			"once. Gateways verify keys with the published JWKS; revoking a key deletes its JWK.\n\n" +
			"Every flag can also be set in the environment: --public-url as BURNKEY_PUBLIC_URL.",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := fromEnvironment(cmd.Flags()); err != nil {
				return err
			}
			if w := cmd.Flags().Lookup("workspace"); w != nil && w.Changed && w.Value.String() == "" {
				return fmt.Errorf("%s: must not be empty", asGiven(cmd.Flags(), "workspace"))
			}
			warnAtStart(cmd)
			return checkGroups(cmd)
		},
	}
	root.SetFlagErrorFunc(suggestFlag)
	root.AddCommand(serveCommand(), gatewayCommand(), adminCommand(), restoreCommand(), workspaceCommand(), keyCommand(), importCommand(),
		planCommand(), limitCommand(), requestCommand(), portalCommand(), auditCommand(), envoyCommand(), verifyCommand(), doctorCommand(),
		demoCommand())
	return root
}

// variable returns the environment variable for a flag.
func variable(flag string) string {
	return "BURNKEY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// ambientMark marks a flag that was set by its environment variable.
const ambientMark = "burnkey_ambient"

// fromEnvironment sets flags that are not on the command line from their environment variables.
func fromEnvironment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value, ok := os.LookupEnv(name)
		if f.Changed || !ok || f.Name == "help" || f.Name == "version" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, inWords(err)))
		}
		_ = flags.SetAnnotation(f.Name, ambientMark, nil) // fails only for an unknown flag
	})
	return errors.Join(errs...)
}

// notEmpty returns an error if a flag has an empty value, for example from an unset shell variable. An empty
// value would select or accept more than intended.
func notEmpty(flags *pflag.FlagSet, names ...string) error {
	for _, name := range names {
		f := flags.Lookup(name)
		list, isList := f.Value.(pflag.SliceValue)
		if f.Changed && (f.Value.String() == "" || isList && len(list.GetSlice()) == 0) {
			return fmt.Errorf("%s: must not be empty; leave it out for the default", asGiven(flags, name))
		}
	}
	return nil
}

// isAmbient reports whether a flag was set by its environment variable.
func isAmbient(flags *pflag.FlagSet, flag string) bool {
	f := flags.Lookup(flag)
	if f == nil {
		return false
	}
	_, ok := f.Annotations[ambientMark]
	return ok
}

// asGiven names a flag for an error. If the flag was set by its environment variable, the variable comes first.
func asGiven(flags *pflag.FlagSet, flag string) string {
	if isAmbient(flags, flag) {
		return variable(flag) + " (--" + flag + ")"
	}
	return "--" + flag
}

// group returns a command that has only subcommands. Without a RunE, cobra would print help and exit with
// status 0 for a misspelt subcommand.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subs...)
	return cmd
}

// choices makes shells complete a flag with these values.
func choices(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func require(cmd *cobra.Command, flags ...string) {
	for _, flag := range flags {
		_ = cmd.MarkFlagRequired(flag) // fails only for an unknown flag
	}
}

// noArgs is like cobra.NoArgs, whose error message would speak of an unknown command.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("takes no arguments, but got %d; is a flag misspelt?", len(args))
	}
	return nil
}

// oneArg requires exactly one argument, which must not be empty.
func oneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return fmt.Errorf("takes one argument, %s", what)
		case len(args) > 1:
			return fmt.Errorf("takes one argument, %s, but got %d (to turn a flag off, write --flag=false)", what, len(args))
		case args[0] == "":
			return fmt.Errorf("takes %s, which must not be empty", what)
		}
		return nil
	}
}
