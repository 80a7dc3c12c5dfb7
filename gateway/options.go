package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/burnkey/burnkey/gateway/limits"
	"github.com/burnkey/burnkey/jwks"
)

var (
	workspaceID     = regexp.MustCompile(jwks.WorkspacePattern)
	environmentName = regexp.MustCompile(jwks.EnvironmentPattern)
)

const (
	// MinStaleness is the minimum of Options.MaxStaleness. Without any fault, keys get up
	// to a quarter of it old, plus a second by which a server may lag.
	MinStaleness = 2 * time.Second
	// MaxWorkspaces is the maximum length of Options.Workspaces.
	MaxWorkspaces = 1000
)

// Options select the server and the tokens to accept.
type Options struct {
	// Server is the base URL of the server to follow. PublicURL is the base URL in the iss of tokens. If empty,
	// it is Server.
	Server, PublicURL string
	// Workspaces are those whose tokens are accepted. Empty: all that Key may see.
	Workspaces []string
	// InsecureManagementKeys allows the server's own workspace, burnkey, in Workspaces. The API behind the
	// gateway then receives management keys and can use them.
	InsecureManagementKeys bool
	// Key returns a management key with the scope gateway, for the feed: keys with their attributes and limits. It
	// is called for every request, so that the key can change. Nil: the Gateway follows the public calls of
	// Workspaces, which have neither attributes nor limits.
	Key func() (string, error)
	// StateDir is an existing folder that stores keys, so that the next start needs no
	// server. Only one Gateway may use it at a time. Empty: nothing is stored.
	StateDir string

	// Audience lists the accepted audiences; a token must have at least one of them. A workspace can have a
	// separate audience for each API, so either Audience or AnyAudience must be set.
	Audience []string
	// AnyAudience accepts any audience, unless the route requires one.
	AnyAudience bool
	// Environment is the name of the environment whose tokens are accepted, such as jwks.DefaultEnvironment. It requires
	// Key. Empty: any.
	Environment string
	// RequireExpiration refuses tokens without exp.
	RequireExpiration bool
	// ExpiryNotice is the time before the end of a key during which answers announce it. 0: none.
	ExpiryNotice time.Duration
	// Places are the places of a request from which a key is read.
	Places jwks.Places
	// StripAuthorization removes the headers that contain the token from requests that may pass. A query parameter is
	// always removed.
	StripAuthorization bool
	// Resource is the URL of the API, whose metadata (RFC 9728) refusals refer to. Empty: they don't.
	Resource string

	// Pepper is the key of the HMAC-SHA-256 of imported keys, of at least MinPepperLen bytes. Empty: imported keys that were
	// hashed with a pepper are refused. It requires Key.
	Pepper []byte

	// MaxStaleness is the maximum age of a workspace's keys, as returned by Follower.Age. Zero means any age.
	MaxStaleness time.Duration
	// ServeStale accepts keys older than MaxStaleness; they are only reported in the log and in Stats.
	ServeStale bool

	// UsageEvery is the approximate interval between reports of key usage. 0: no reports.
	UsageEvery time.Duration
	// UsageKey returns a management key with the scope gateway, for reporting usage and for a reserved place at
	// the change streams, even if UsageEvery is 0. It is called like Key. Nil: Key.
	UsageKey func() (string, error)

	// LimitHeaders says which headers tell clients about limits: LimitHeadersDraft, which is the default,
	// LimitHeadersX, LimitHeadersBoth or LimitHeadersOff.
	LimitHeaders string
	// LimitShare is the share of each limit that this Gateway allows, above 0 and at most 1, if several divide the
	// requests among them. 0: 1.
	LimitShare float64
	// LimitEntries is limits.LocalOptions.Entries.
	LimitEntries int
	// Counter returns a Counter that is used instead of the local one, which it can use in turn. Nil: limits are
	// counted by this Gateway alone.
	Counter func(*limits.Local) (limits.Counter, error)

	Log *slog.Logger     // nil: slog.Default
	Now func() time.Time // the clock for ages and exp; nil: time.Now
}

// An OptionError says which option is invalid, and the rule it breaks.
type OptionError struct{ Option, Detail string }

func (e *OptionError) Error() string { return e.Option + " " + e.Detail }

func (o *Options) setDefaults() {
	o.PublicURL = cmp.Or(o.PublicURL, o.Server)
	o.LimitHeaders = cmp.Or(o.LimitHeaders, LimitHeadersDraft)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.UsageKey == nil {
		o.UsageKey = o.Key
	}
	if o.Now == nil {
		o.Now = time.Now
	}
}

func (o *Options) check() error {
	if !isBaseURL(o.Server) {
		return &OptionError{"Server", needsBaseURL}
	}
	if o.PublicURL != "" && !isBaseURL(o.PublicURL) {
		return &OptionError{"PublicURL", needsBaseURL}
	}
	if _, _, err := jwks.ResourceMetadataURL(o.Resource); o.Resource != "" && err != nil {
		return &OptionError{"Resource", err.Error()}
	}
	if err := o.checkWorkspaces(); err != nil {
		return err
	}
	if slices.Contains(o.Audience, "") {
		return &OptionError{"Audience", "must not be empty"}
	}
	if (len(o.Audience) == 0) != o.AnyAudience {
		return &OptionError{"Audience", "or AnyAudience must be set, but not both"}
	}
	switch {
	case o.Environment == "":
	case !environmentName.MatchString(o.Environment):
		return &OptionError{"Environment", fmt.Sprintf("must match %s", environmentName)}
	case o.Key == nil:
		return &OptionError{"Environment", "has no effect without Key; name the workspaces instead"}
	}
	switch {
	case len(o.Pepper) == 0:
	case len(o.Pepper) < MinPepperLen:
		return &OptionError{"Pepper", fmt.Sprintf("must have at least %d bytes", MinPepperLen)}
	case o.Key == nil:
		return &OptionError{"Pepper", "has no effect without Key: imported keys come with the feed"}
	}
	if o.MaxStaleness != 0 && o.MaxStaleness < MinStaleness {
		return &OptionError{"MaxStaleness", fmt.Sprintf("must be %s or more", MinStaleness)}
	}
	if o.ServeStale && o.MaxStaleness == 0 {
		return &OptionError{"ServeStale", "has no effect without MaxStaleness"}
	}
	if o.ExpiryNotice < 0 {
		return &OptionError{"ExpiryNotice", "must not be negative"}
	}
	if err := o.checkLimits(); err != nil {
		return err
	}
	return o.checkUsage()
}

func (o *Options) checkLimits() error {
	switch o.LimitHeaders {
	case "", LimitHeadersDraft, LimitHeadersX, LimitHeadersBoth, LimitHeadersOff:
	default:
		return &OptionError{"LimitHeaders", "must be draft, x, both or off"}
	}
	err := (&limits.LocalOptions{Entries: o.LimitEntries, Share: o.LimitShare}).Check()
	if bad := new(limits.OptionError); errors.As(err, &bad) {
		return &OptionError{"Limit" + bad.Option, bad.Detail}
	}
	return err
}

const needsBaseURL = "must be http(s)://HOST[:PORT][/PATH]"

func isBaseURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		u.User == nil && u.RawQuery == "" && !u.ForceQuery && u.Fragment == ""
}

func (o *Options) checkWorkspaces() error {
	if len(o.Workspaces) == 0 && o.Key == nil {
		return &OptionError{"Workspaces", "or Key must be set"}
	}
	if len(o.Workspaces) > MaxWorkspaces {
		return &OptionError{"Workspaces", fmt.Sprintf("must be at most %d", MaxWorkspaces)}
	}
	for i, id := range o.Workspaces {
		switch {
		case !workspaceID.MatchString(id):
			return &OptionError{"Workspaces", fmt.Sprintf("must match %s, which %q does not", workspaceID, id)}
		case id == jwks.HomeWorkspace && !o.InsecureManagementKeys:
			return &OptionError{"Workspaces", "must not contain " + id + ", whose keys are management keys, without InsecureManagementKeys"}
		case slices.Contains(o.Workspaces[:i], id):
			return &OptionError{"Workspaces", fmt.Sprintf("contains %q twice", id)}
		}
	}
	return nil
}

func (o *Options) checkUsage() error {
	switch {
	case o.UsageEvery == 0:
	case o.UsageEvery < MinUsageEvery || o.UsageEvery > MaxUsageEvery:
		return &OptionError{"UsageEvery", fmt.Sprintf("must be 0, or %s to %s", MinUsageEvery, MaxUsageEvery)}
	case o.UsageKey == nil && o.Key == nil:
		return &OptionError{"UsageKey", "must be set to report usage"}
	}
	return nil
}
