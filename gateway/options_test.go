package gateway

import (
	"errors"
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		option string
		edit   func(*Options)
	}{
		{"Server", func(o *Options) { o.Server = "" }},
		{"Server", func(o *Options) { o.Server = "127.0.0.1:8080" }},
		{"Server", func(o *Options) { o.Server = "https://u:p@x" }},
		{"PublicURL", func(o *Options) { o.PublicURL = "x" }},
		{"PublicURL", func(o *Options) { o.PublicURL = "https://x/?" }},
		{"Workspaces", func(o *Options) { o.Workspaces = nil }},
		{"Workspaces", func(o *Options) { o.Workspaces = []string{"Acme"} }},
		{"Workspaces", func(o *Options) { o.Workspaces = []string{"a", "a"} }},
		{"Workspaces", func(o *Options) { o.Workspaces = make([]string, MaxWorkspaces+1) }},
		{"Workspaces", func(o *Options) { o.Workspaces = []string{"acme", "burnkey"} }},
		{"Audience", func(o *Options) { o.Audience = []string{""} }},
		{"Audience", func(o *Options) { o.Audience = nil }},
		{"Audience", func(o *Options) { o.AnyAudience = true }},
		{"MaxStaleness", func(o *Options) { o.MaxStaleness = time.Second }},
		{"MaxStaleness", func(o *Options) { o.MaxStaleness = -time.Second }},
		{"ServeStale", func(o *Options) { o.ServeStale = true }},
	} {
		o := Options{Server: "http://127.0.0.1:1", Workspaces: []string{"acme"}, Audience: []string{"maps"}}
		test.edit(&o)
		_, err := New(o)
		if bad := new(OptionError); !errors.As(err, &bad) || bad.Option != test.option {
			t.Errorf("%s: %v", test.option, err)
		}
	}
}
