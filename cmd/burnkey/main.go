// Command burnkey is the authorization server for API keys and the tools that
// go with it.
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
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal kills
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	// Every command may handle a token, a key file or a database's password.
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
		tell(os.Stderr, err)
		return 1
	}
}

// tell prints why a command failed. Some of it may be another server's words; cobra
// indents what it suggests by tabs.
func tell(w io.Writer, err error) {
	for line := range strings.Lines("burnkey: " + err.Error() + "\n") {
		fmt.Fprintln(w, plain(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "  ")))
	}
}

// exitError ends the program with this status, its reason having been shown.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "burnkey",
		Short: "An authorization server for API keys that no thief can forge",
		Long: "Burnkey issues API keys as RS256 JWTs. Each is signed by a key pair of its own whose private half is\n" +
			"destroyed at once; gateways verify by the published JWKS, and revoking a key is deleting its JWK.\n\n" +
			"Every flag can be given as BURNKEY_… in the environment: --public-url as BURNKEY_PUBLIC_URL.",
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
	root.AddCommand(serveCommand(), gatewayCommand(), adminCommand(), workspaceCommand(), keyCommand(), portalCommand(), auditCommand(),
		envoyCommand(), verifyCommand(), demoCommand())
	return root
}

// variable is the one that a flag can be given as.
func variable(flag string) string {
	return "BURNKEY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// ambientMark is on a flag that its variable has set.
const ambientMark = "burnkey_ambient"

// fromEnvironment sets the flags that the command line does not.
func fromEnvironment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value, ok := os.LookupEnv(name)
		if f.Changed || !ok || f.Name == "help" || f.Name == "version" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
		_ = flags.SetAnnotation(f.Name, ambientMark, nil) // it fails for a flag that is not there
	})
	return errors.Join(errs...)
}

// notEmpty refuses a list that is given as nothing, by a variable that is not set
// perhaps. It would count as none, by which more is accepted than was meant.
func notEmpty(flags *pflag.FlagSet, names ...string) error {
	for _, name := range names {
		f := flags.Lookup(name)
		if list, ok := f.Value.(pflag.SliceValue); ok && f.Changed && len(list.GetSlice()) == 0 {
			return fmt.Errorf("%s: must not be empty; leave it out for the default", asGiven(flags, name))
		}
	}
	return nil
}

// notBlank returns an error if a filter is given without a value, since it would select everything.
func notBlank(flags *pflag.FlagSet, names ...string) error {
	for _, name := range names {
		if f := flags.Lookup(name); f.Changed && f.Value.String() == "" {
			return fmt.Errorf("%s: must not be empty; leave it out for any", asGiven(flags, name))
		}
	}
	return nil
}

// isAmbient reports whether a flag was set by its variable.
func isAmbient(flags *pflag.FlagSet, flag string) bool {
	f := flags.Lookup(flag)
	if f == nil {
		return false
	}
	_, ok := f.Annotations[ambientMark]
	return ok
}

// asGiven names a flag as it was given: what is wrong may be in a shell's profile.
func asGiven(flags *pflag.FlagSet, flag string) string {
	if isAmbient(flags, flag) {
		return variable(flag) + " (--" + flag + ")"
	}
	return "--" + flag
}

// group makes a command that has only others below it. Left to itself, cobra
// takes a misspelt one for a wish for help, and a script goes on as if it had
// done its work.
func group(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// noArgs refuses arguments by name, where cobra would call them unknown commands.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("takes no arguments, but got %d; is a flag misspelt?", len(args))
	}
	return nil
}

// oneArg says what the one argument is.
func oneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("takes one argument, %s, but got %d (a flag's false is written --flag=false)", what, len(args))
		}
		if args[0] == "" { // without it, the path would be that of another call
			return fmt.Errorf("takes %s, which must not be empty", what)
		}
		return nil
	}
}
