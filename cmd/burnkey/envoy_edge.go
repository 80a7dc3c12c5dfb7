package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/deploy/envoy"
)

// edgeFlags are the flags for what a gateway does besides verifying keys.
type edgeFlags struct{ routes, scheme string }

func (e *edgeFlags) flags(cmd *cobra.Command, c *envoy.Config) {
	flags := cmd.Flags()
	flags.StringVar(&e.routes, "routes", "", "`FILE` with the requirements of routes: a routes file, or an OpenAPI 3 document")
	flags.StringVar(&e.scheme, "openapi-scheme", "", "`NAME` of the security scheme of keys, if the OpenAPI document has several")
	flags.StringArrayVar(&c.Open, "open", nil,
		"path that needs no key, after an optional list of methods: 'GET /healthz', 'GET,POST /public/*'; may be repeated")
	flags.StringSliceVar(&c.Origins, "cors-origin", nil,
		"`ORIGIN` of pages that browsers let call the API, such as https://app.example.com; may be repeated; * for all")
	flags.StringSliceVar(&c.OriginHeaders, "cors-header", nil, "`NAME` of another request header that these pages may send; may be repeated")
}

// set reads the files that the flags name.
func (e *edgeFlags) set(c *envoy.Config) error {
	if e.routes == "" {
		if e.scheme != "" {
			return errors.New("--openapi-scheme: is for --routes")
		}
		return nil
	}
	file, err := os.Open(e.routes)
	if err != nil {
		return fmt.Errorf("--routes: %w", err)
	}
	defer file.Close()
	if c.Routes, err = envoy.ReadRoutes(file, e.scheme); err != nil {
		return fmt.Errorf("--routes: %s: %w", e.routes, err)
	}
	return nil
}
