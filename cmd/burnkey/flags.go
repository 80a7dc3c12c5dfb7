package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/deploy/envoy"
	"github.com/burnkey/burnkey/jwks"
)

// These annotations mark commands with groups of flags, one group per line. Cobra could check groups, too, but
// its errors do not say whether a flag or its environment variable was given.
const (
	oneRequiredMark = "burnkey_one_required"
	exclusiveMark   = "burnkey_exclusive"
)

// exclusive allows only one of the flags.
func exclusive(cmd *cobra.Command, names ...string) {
	cmd.MarkFlagsMutuallyExclusive(names...) // for shell completion
	markGroup(cmd, exclusiveMark, names)
}

// oneRequired requires at least one of the flags.
func oneRequired(cmd *cobra.Command, names ...string) {
	cmd.MarkFlagsOneRequired(names...) // for shell completion
	markGroup(cmd, oneRequiredMark, names)
}

func markGroup(cmd *cobra.Command, mark string, names []string) {
	if cmd.Annotations == nil {
		cmd.Annotations = make(map[string]string)
	}
	cmd.Annotations[mark] += strings.Join(names, " ") + "\n"
}

// checkGroups returns an error if the flags do not fit their groups.
func checkGroups(cmd *cobra.Command) error {
	flags := cmd.Flags()
	for line := range strings.Lines(cmd.Annotations[exclusiveMark]) {
		if set := given(flags, strings.Fields(line)); len(set) > 1 {
			return fmt.Errorf("%s: cannot be used with %s", asGiven(flags, set[0]), asGiven(flags, set[1]))
		}
	}
	for line := range strings.Lines(cmd.Annotations[oneRequiredMark]) {
		if names := strings.Fields(line); len(given(flags, names)) == 0 {
			return fmt.Errorf("--%s: one of them is required", strings.Join(names, ", --"))
		}
	}
	return nil
}

// given returns the flags that were set on the command line or by an environment variable.
func given(flags *pflag.FlagSet, names []string) (set []string) {
	for _, name := range names {
		if flags.Changed(name) {
			set = append(set, name)
		}
	}
	return set
}

// audienceFlags adds the flags for the accepted audiences.
func audienceFlags(flags *pflag.FlagSet, audiences *[]string, anyAudience *bool) {
	flags.StringSliceVar(audiences, "audience", nil, "audience that a token must have; if repeated, one of them is enough")
	flags.BoolVar(anyAudience, "any-audience", false, "accept every audience of the workspace, instead of --audience")
}

func credentialFlag(flags *pflag.FlagSet, places *[]string) {
	flags.StringSliceVar(places, "credential", nil,
		"`PLACE` of a request from which the key is read: bearer, apikey, basic, header:NAME or query:NAME; may be repeated (default bearer)")
}

// parsePlaces reads --credential.
func parsePlaces(flags *pflag.FlagSet, texts []string) (jwks.Places, error) {
	if err := notEmpty(flags, "credential"); err != nil {
		return jwks.Places{}, err
	}
	places, err := jwks.ParsePlaces(texts...)
	if err != nil {
		return jwks.Places{}, fmt.Errorf("%s: %w", asGiven(flags, "credential"), err)
	}
	return places, nil
}

func managementFlag(flags *pflag.FlagSet, insecure *bool) {
	flags.BoolVar(insecure, "insecure-management-keys", false,
		"allow --workspace burnkey; the API then receives management keys")
}

// asFlag makes a FieldError name the environment variable if it set the flag.
func asFlag(flags *pflag.FlagSet, err error) error {
	if bad := new(envoy.FieldError); errors.As(err, &bad) {
		return fmt.Errorf("%s: %s", asGiven(flags, bad.Flag), bad.Detail)
	}
	return err
}

// span is a flag for a duration in whole seconds: at least 1, or at least 0 if zero is allowed.
type span struct {
	text   string
	value  time.Duration
	orZero bool
}

// Set, String and Type implement pflag.Value.
func (s *span) Set(text string) error {
	value, err := authz.ParseDuration(text)
	isWhole := value >= time.Second && value%time.Second == 0
	switch {
	case s.orZero && (err != nil || value != 0 && !isWhole):
		return errors.New("must be 0, or whole seconds, such as 3600, or like 90m, 720h or 30d")
	case err != nil:
		return err
	case !s.orZero && !isWhole:
		return errors.New("must be 1 second or more, and whole seconds")
	}
	s.text, s.value = text, value
	return nil
}

func (s *span) String() string { return s.text }

// Type is the placeholder in the help text.
func (s *span) Type() string { return "DURATION" }

// interval is a flag for any duration; the command checks the bounds.
type interval time.Duration

// intervalFlag is like DurationVar, with the forms of authz.ParseDuration.
func intervalFlag(flags *pflag.FlagSet, value *time.Duration, name string, byDefault time.Duration, usage string) {
	*value = byDefault
	flags.Var((*interval)(value), name, usage)
}

// Set, String and Type implement pflag.Value.
func (i *interval) Set(text string) error {
	value, err := authz.ParseDuration(text)
	if err == nil {
		*i = interval(value)
	}
	return err
}

func (i *interval) String() string {
	if *i == 0 {
		return "0" // the help text omits a default of 0
	}
	return time.Duration(*i).String()
}

// Type is the placeholder in the help text.
func (i *interval) Type() string { return "DURATION" }

// moment is a flag for a time, which can also be given as a date or as an age.
type moment struct {
	text string
	at   time.Time
}

// Set, String and Type implement pflag.Value.
func (m *moment) Set(text string) error {
	var ago span
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			m.text, m.at = text, at.UTC()
			return nil
		}
	}
	if ago.Set(text) != nil {
		return errors.New("must be like 2026-01-31T12:00:00Z, 2026-01-31 (its beginning, in UTC), or 30d for an age")
	}
	m.text, m.at = text, time.Now().UTC().Add(-ago.value)
	return nil
}

func (m *moment) String() string { return m.text }

// Type is the placeholder in the help text.
func (m *moment) Type() string { return "TIME" }

// inWords replaces strconv's text in an error about a flag or its environment variable by the values that are accepted.
func inWords(err error) error {
	parsed := new(strconv.NumError)
	if !errors.As(err, &parsed) {
		return err
	}
	rule := cmp.Or(map[string]string{"ParseBool": "must be true or false", "ParseFloat": "must be a number"}[parsed.Func],
		"must be a whole number")
	return errors.New(strings.Replace(err.Error(), parsed.Error(), rule, 1))
}

// suggestFlag adds a similar flag to an error about an unknown flag, and the accepted values to an error about
// an invalid value.
func suggestFlag(cmd *cobra.Command, err error) error {
	err = inWords(err)
	unknown := new(pflag.NotExistError)
	if !errors.As(err, &unknown) || unknown.GetSpecifiedShortnames() != "" {
		return err
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	near := alike(unknown.GetSpecifiedName(), names)
	if len(near) == 0 {
		return err
	}
	return fmt.Errorf("%w; did you mean --%s?", err, strings.Join(near, " or --"))
}

// alike returns the names that resemble an unknown one; only that of a variable in another case. It uses cobra's suggestions,
// which work only for commands.
func alike(name string, names []string) []string {
	if slices.Contains(names, name) {
		return []string{name}
	}
	// In a short name, two other characters make another word.
	all := &cobra.Command{SuggestionsMinimumDistance: min(2, max(1, len(name)/3))}
	for _, known := range names {
		all.AddCommand(&cobra.Command{Use: known, Run: func(*cobra.Command, []string) {}})
	}
	return all.SuggestionsFor(name)
}
