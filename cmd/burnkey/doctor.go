package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/doctor"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres"
	"github.com/burnkey/burnkey/store/sqlite"
)

// exitCodes are the exit codes of doctor, by the most severe finding. If the command itself fails, its exit code is 1.
var exitCodes = map[doctor.Severity]exitError{doctor.Warning: 3, doctor.Error: 4}

func doctorCommand() *cobra.Command {
	var o doctor.Options
	var keyFile, database, format string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Report what is wrong or risky with a server, a database, a gateway or an Envoy",
		Long: "Examine a server, a database, a gateway and an Envoy, whichever are given, and the burnkey processes of this\n" +
			"machine. The findings come in order of importance, with the reason and what to do. Nothing is changed.\n" +
			"The exit code is 0 without findings or with notes only, 3 with warnings and 4 with errors; 1 if the command\n" +
			"itself fails.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := notEmpty(cmd.Flags(), "server", "database", "gateway", "envoy-admin", "workspace"); err != nil {
				return err
			}
			if format != "text" && format != "json" {
				return errors.New("--output: must be text or json")
			}
			if err := checkTargets(o); err != nil {
				return err
			}
			if err := withDatabase(&o, database); err != nil {
				return err
			}
			withKey(&o, keyFile)
			o.Host, o.Version, o.Now = true, version, time.Now
			o.Variables = unknownVariables(cmd.Root(), os.Environ())
			return diagnose(cmd.Context(), cmd.OutOrStdout(), format == "json", o)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Server, "server", "", "`URL` of a server")
	flags.StringVar(&o.PublicURL, "public-url", "", "`URL` that iss should begin with (default --server)")
	flags.StringVar(&database, "database", "", "database: sqlite:PATH or postgres://…")
	flags.StringVar(&o.Gateway, "gateway", "", "`HOST:PORT` of burnkey gateway's --metrics-listen")
	flags.StringVar(&o.Envoy, "envoy-admin", "", "`HOST:PORT` of Envoy's admin interface")
	flags.StringSliceVarP(&o.Workspaces, "workspace", "w", nil, "workspace to examine; may be repeated (default all, with a management key)")
	flags.StringVar(&keyFile, "key-file", "", "`FILE` with a management key for the server (or put the key itself in BURNKEY_KEY)")
	flags.StringSliceVar(&o.StateDirs, "state-dir", nil, "`FOLDER` of burnkey gateway, to examine its mode; may be repeated")
	flags.StringVarP(&format, "output", "o", "text", "text or json")
	choices(cmd, "output", "text", "json")
	oneRequired(cmd, "server", "database", "gateway", "envoy-admin")
	return cmd
}

// checkTargets returns an error for a flag whose address is malformed. Such a target would look as if it were down.
func checkTargets(o doctor.Options) error {
	if !isBase(o.Server) {
		return fmt.Errorf("--server: %w", client.ErrServer)
	}
	if o.PublicURL != "" {
		if err := checkPublicURL(o.PublicURL); err != nil {
			return err
		}
	}
	for flag, address := range map[string]string{"gateway": o.Gateway, "envoy-admin": o.Envoy} {
		if address != "" && !strings.Contains(address, "://") {
			address = "http://" + address
		}
		if !isBase(address) {
			return fmt.Errorf("--%s: must be HOST:PORT", flag)
		}
	}
	return nil
}

// isBase returns whether a client accepts a base URL, or it is empty.
func isBase(address string) bool {
	_, err := client.New(client.Options{Server: address})
	return address == "" || err == nil
}

// withDatabase adds the database at a URL.
func withDatabase(o *doctor.Options, database string) error {
	if database == "" {
		return nil
	}
	o.DatabaseName = databaseName(database)
	switch path := sqlitePath(database); {
	case path != "":
		o.SQLite = path
		o.Database = func(ctx context.Context) (store.Condition, error) { return sqlite.Inspect(ctx, path) }
	case isPostgres(database):
		o.Database = func(ctx context.Context) (store.Condition, error) { return postgres.Inspect(ctx, database) }
	default:
		return fmt.Errorf("--database: %w", errDatabaseURL)
	}
	return nil
}

// withKey adds the management key, if one was given.
func withKey(o *doctor.Options, file string) {
	if file != "" {
		o.KeyFiles = []string{file}
	}
	if o.Server != "" && (file != "" || strings.TrimSpace(os.Getenv("BURNKEY_KEY")) != "") {
		r := remote{keyFile: file}
		o.Key = r.credential
	}
}

// diagnose examines the targets and prints the findings. If any is a warning or an error, it returns an exitError.
func diagnose(ctx context.Context, w io.Writer, asJSON bool, o doctor.Options) error {
	findings := doctor.Examine(ctx, o)
	if err := ctx.Err(); err != nil {
		return err
	}
	write := printFindings
	if asJSON {
		write = printFindingsJSON
	}
	if err := write(w, findings); err != nil {
		return err
	}
	gravest := doctor.Severity(0)
	for _, f := range findings {
		gravest = max(gravest, f.Severity)
	}
	if code, ok := exitCodes[gravest]; ok {
		return code
	}
	return nil
}

func printFindings(w io.Writer, findings []doctor.Finding) error {
	var parts []string
	for _, f := range findings {
		parts = append(parts, fmt.Sprintf("%s %s: %s\n  %s\n  Why: %s\n  Do:  %s\n  %s\n",
			f.Severity, f.Code, f.Target, f.What, f.Why, f.Do, f.Link))
	}
	_, err := io.WriteString(w, cmp.Or(strings.Join(parts, "\n"), "no findings\n"))
	return err
}

func printFindingsJSON(w io.Writer, findings []doctor.Finding) error {
	if findings == nil {
		findings = []doctor.Finding{}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(map[string][]doctor.Finding{"findings": findings})
}
