package envoy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Limits and defaults of the traffic.
const (
	DefaultTimeout     = time.Minute
	DefaultIdleTimeout = 5 * time.Minute
	MaxTimeout         = 24 * time.Hour
	// MinBody and MaxBody are the bounds of a limit of bodies, in bytes. While the gateway decides, Envoy takes a window of up
	// to 64 KiB of the body, and reads on only if that is less than half of the limit; below, a request would be
	// accepted unchecked, or never end. And Envoy holds whole bodies in memory.
	MinBody, MaxBody = 256 << 10, 64 << 20
)

// A Span is a duration in whole seconds.
type Span time.Duration

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Span) UnmarshalYAML(n *yaml.Node) error {
	d, err := time.ParseDuration(n.Value)
	if *s = Span(d); err != nil || !s.isValid() {
		return fmt.Errorf("line %d: must be whole seconds such as 30s or 5m, up to %s, not %q", n.Line, MaxTimeout, n.Value)
	}
	return nil
}

func (s Span) isValid() bool {
	d := time.Duration(s)
	return d >= time.Second && d <= MaxTimeout && d%time.Second == 0
}

func checkTimeout(flag string, d time.Duration) error {
	if d != 0 && !Span(d).isValid() {
		return fieldError(flag, "must be whole seconds from 1s to %s, not %s", MaxTimeout, d)
	}
	return nil
}

var sizeText = regexp.MustCompile(`^([1-9][0-9]{0,8})(KiB|MiB)?$`)

// parseSize parses a size such as 1MiB into bytes. An empty string is 0.
func parseSize(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	parts := sizeText.FindStringSubmatch(text)
	if parts == nil {
		return 0, fmt.Errorf("must be a number of bytes, KiB or MiB such as 1MiB, not %q", text)
	}
	n, err := strconv.ParseUint(parts[1], 10, 32)
	if n <<= map[string]int{"KiB": 10, "MiB": 20}[parts[2]]; err != nil || n < MinBody || n > MaxBody {
		return 0, fmt.Errorf("must be %dKiB to %dMiB, not %s", MinBody>>10, MaxBody>>20, text)
	}
	return n, nil
}

// checkTraffic checks how the route treats requests that may pass.
func (r Route) checkTraffic() error {
	switch _, err := parseSize(r.MaxBody); {
	case err != nil:
		return fmt.Errorf("max_body: %w", err)
	case r.Timeout != 0 && (r.Stream || r.WebSocket):
		return fmt.Errorf("timeout: cannot be combined with stream or websocket; idle_timeout can")
	case r.MaxBody != "" && r.WebSocket:
		return fmt.Errorf("max_body: cannot be combined with websocket")
	}
	return nil
}

// Action is what Envoy's router does.
func (r routeView) Action() string {
	timeout := "0s" // none: idle_timeout ends a stream that is silent
	if !r.Stream && !r.WebSocket {
		timeout = seconds(cmp.Or(time.Duration(r.Route.Timeout), r.view.Timeout, DefaultTimeout))
	}
	members := []string{"cluster: api", "timeout: " + timeout}
	if r.Route.IdleTimeout != 0 {
		members = append(members, "idle_timeout: "+seconds(time.Duration(r.Route.IdleTimeout)))
	}
	if r.WebSocket {
		members = append(members, "upgrade_configs: [{upgrade_type: websocket}]")
	}
	return strings.Join(members, ", ")
}

// BodyLimit is the route's own limit in bytes, or 0.
func (r routeView) BodyLimit() uint64 { return mustSize(r.Route.MaxBody) }

// IsUnbuffered reports whether the limit of all requests is off: Envoy would wait for the end of the request.
func (r routeView) IsUnbuffered() bool {
	return r.BodyLimit() == 0 && (r.Stream || r.WebSocket) && r.LimitsBodies()
}

// TimeoutOf is the timeout of requests that no route matches, and IdleTimeoutOf that of all streams.
func (v *view) TimeoutOf() string { return seconds(cmp.Or(v.Timeout, DefaultTimeout)) }

func (v *view) IdleTimeoutOf() string { return seconds(cmp.Or(v.IdleTimeout, DefaultIdleTimeout)) }

// LimitsBodies reports whether the filter for the sizes of bodies is needed.
func (v *view) LimitsBodies() bool {
	return v.MaxBody != "" || slices.ContainsFunc(v.routes, func(r Route) bool { return r.MaxBody != "" })
}

// BodyLimitOf is the limit of all requests in bytes, or 0.
func (v *view) BodyLimitOf() uint64 { return mustSize(v.MaxBody) }

// mustSize is parseSize for a string that is known to be valid.
func mustSize(text string) uint64 {
	n, _ := parseSize(text)
	return n
}

// parseWebSockets returns the routes of --websocket.
func parseWebSockets(list []string) (routes []Route, err error) {
	for _, path := range list {
		r := Route{Path: path, WebSocket: true}
		if err := r.check(); err != nil {
			return nil, fieldError("websocket", "must be a path such as /events, not %q: %v", path, err)
		}
		routes = append(routes, r)
	}
	return routes, nil
}
