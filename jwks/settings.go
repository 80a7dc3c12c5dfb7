package jwks

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// ErrPrefix says that a token has no prefix, or not that of its workspace.
var ErrPrefix = errors.New("the token does not have the prefix of its workspace")

// Settings are what the gateways that follow a workspace must know of it. The zero value: tokens have no prefix.
type Settings struct {
	// TokenPrefix is before the JWT in each token. It matches PrefixPattern.
	TokenPrefix string `json:"token_prefix,omitzero"`
	// BareUntil is the end of the time in which tokens without the prefix are accepted, too; zero: they are not.
	BareUntil time.Time `json:"bare_until,omitzero"`
	// Environment is the name of the environment that the workspace is. Empty: DefaultEnvironment.
	Environment string `json:"environment,omitzero"`
}

// IsDefault reports whether all settings have their defaults.
func (s *Settings) IsDefault() bool {
	return s.TokenPrefix == "" && s.BareUntil.IsZero() && s.Environment == ""
}

const (
	// DefaultEnvironment is the environment of a workspace that has no name for it.
	DefaultEnvironment = "live"
	// EnvironmentPattern is the pattern of the name of an environment.
	EnvironmentPattern = `^[a-z][a-z0-9-]{0,30}$`
)

var environmentName = regexp.MustCompile(EnvironmentPattern)

// EnvironmentName returns the name of the environment that the workspace is.
func (s *Settings) EnvironmentName() string {
	if s.Environment == "" {
		return DefaultEnvironment
	}
	return s.Environment
}

// Equal reports whether both mean the same.
func (s *Settings) Equal(other *Settings) bool { return s.Print() == other.Print() }

// Print is the settings' part of the fingerprint of a feed: zero for the zero value.
func (s *Settings) Print() Fingerprint {
	if s.IsDefault() {
		return Fingerprint{}
	}
	utc := *s
	utc.BareUntil = s.BareUntil.UTC() // the same time has the same print
	return sha256.Sum256(append([]byte("settings"), mustMarshal(&utc)...))
}

// Check returns an error if the settings are invalid.
func (s *Settings) Check() error {
	if s.TokenPrefix != "" && !IsPrefix(s.TokenPrefix) {
		return fmt.Errorf("settings: the prefix %q does not match %s", s.TokenPrefix, PrefixPattern)
	}
	if s.Environment != "" && !environmentName.MatchString(s.Environment) {
		return fmt.Errorf("settings: the environment %q does not match %s", s.Environment, EnvironmentPattern)
	}
	return nil
}
