package main

import (
	"cmp"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/deploy/envoy"
)

func envoyCommand() *cobra.Command {
	return group("envoy", "Configuration for gateways", envoyConfigCommand())
}

func envoyConfigCommand() *cobra.Command {
	var c envoy.Config
	var mode, format string
	var credentials []string
	var limits limitFlags
	var edge edgeFlags
	render := map[string]func(io.Writer, envoy.Config) error{
		"bootstrap": envoy.Bootstrap, "filter": envoy.Filter, "espv2": envoy.ESPv2, "envoy-gateway": envoy.EnvoyGateway,
	}
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print a gateway's configuration",
		Long: "Print the configuration with which Envoy 1.40 or ESPv2 verifies the tokens of one or more workspaces or, with\n" +
			"--mode gateway, asks burnkey gateway. The format bootstrap is a complete configuration of Envoy, filter is the\n" +
			"part to add to your own, espv2 is an OpenAPI document, and envoy-gateway is for Envoy Gateway in Kubernetes.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case mode != "pull" && mode != "gateway":
				return errors.New("--mode: must be pull or gateway")
			case mode == "gateway" && len(c.Gateways) == 0:
				return errors.New("--gateway: must be given as HOST:PORT with --mode gateway")
			case mode == "pull" && len(c.Gateways) > 0 && limits.by != "service":
				return errors.New("--gateway: is for --mode gateway or --limits service")
			}
			if err := cmp.Or(limits.set(&c, mode), edge.set(&c)); err != nil {
				return err
			}
			err := notEmpty(cmd.Flags(), "workspace", "audience", "user-audience", "signed-limit", "cors-origin", "cors-header", "target")
			if err != nil {
				return err
			}
			if c.Places, err = parsePlaces(cmd.Flags(), credentials); err != nil {
				return err
			}
			if len(c.Places.QueryNames()) > 0 {
				warn(cmd, "--credential: logs and histories store keys in the query; prefer a header")
			}
			f, ok := render[format]
			if !ok {
				return errors.New("--format: must be bootstrap, filter, espv2 or envoy-gateway")
			}
			if isAbroad(c.Admin) {
				warn(cmd, "--admin: anyone who reaches Envoy's admin interface can read everything and stop Envoy; use a loopback address")
			}
			return asFlag(cmd.Flags(), f(cmd.OutOrStdout(), c))
		},
	}
	flags := cmd.Flags()
	serverFlag(cmd, &c.Server)
	flags.StringVar(&c.PublicURL, "public-url", "",
		"`URL` that iss and the types of problems begin with, if the gateway reaches the server by another (default --server, "+
			"and none with --mode gateway)")
	flags.StringSliceVarP(&c.Workspaces, "workspace", "w", nil, "workspace whose tokens are accepted; may be repeated")
	flags.StringVar(&c.Listen, "listen", "", "`HOST:PORT` where the gateway listens")
	flags.StringVar(&c.Upstream, "upstream", "", "`HOST:PORT` of the API")
	flags.StringVar(&c.Admin, "admin", "", "`HOST:PORT` of Envoy's admin interface (default none)")
	flags.IntVar(&c.TrustedHops, "trusted-hops", 0,
		"proxies in front of the gateway that append to X-Forwarded-For (default none: the client's address is that of the connection)")
	flags.StringVar(&mode, "mode", "pull",
		"pull: Envoy fetches the JWKS and verifies tokens itself; gateway: it asks burnkey gateway")
	flags.StringSliceVar(&c.Gateways, "gateway", nil,
		"`HOST:PORT` of burnkey gateway, for --mode gateway or --limits service; may be repeated")
	limits.flags(cmd, &c)
	edge.flags(cmd, &c)
	trafficFlags(cmd, &c)
	intervalFlag(flags, &c.Cache, "cache", envoy.DefaultCache, "how often Envoy fetches the keys, in whole seconds")
	flags.StringVar(&format, "format", "bootstrap", "bootstrap, filter, espv2 or envoy-gateway")
	kubernetesFlags(flags, &c)
	audienceFlags(flags, &c.Audiences, &c.AnyAudience)
	managementFlag(flags, &c.InsecureManagementKeys)
	credentialFlag(flags, &credentials)
	flags.BoolVar(&c.Imported, "imported", false, "let imported keys of other systems through to burnkey gateway, in mode gateway")
	flags.StringVar(&c.TokenPrefix, "token-prefix", "", "`PREFIX` of all keys, in mode pull (default none); keys without it are refused")
	flags.BoolVar(&c.StripAuthorization, "strip-authorization", false,
		"in mode pull, remove the headers that contain the key before requests reach the API; a query parameter is always removed")
	flags.BoolVar(&c.RequireExpiration, "require-expiration", false, "refuse keys that never expire")
	flags.StringVar(&c.CAFile, "ca-file", "", "`FILE` with CA certificates for an https server or --user-jwks (default the system's)")
	flags.StringVar(&c.ServiceName, "service-name", "", "host of the ESPv2 document (default "+envoy.DefaultServiceName+")")
	choices(cmd, "format", "bootstrap", "filter", "espv2", "envoy-gateway")
	choices(cmd, "mode", "pull", "gateway")
	return cmd
}

// limitFlags are the flags for limits in mode pull.
type limitFlags struct{ by, down string }

func (l *limitFlags) flags(cmd *cobra.Command, c *envoy.Config) {
	flags := cmd.Flags()
	flags.StringVar(&l.by, "limits", "off", "limits in mode pull. off; signed: those that tokens carry, held by Envoy itself; "+
		"service: held by --gateway")
	flags.StringSliceVar(&c.SignedLimits, "signed-limit", nil,
		"limit that tokens may carry, as `REQUESTS/UNIT` (second, minute, hour, day or month), for --limits signed; may be repeated")
	flags.StringVar(&l.down, "limits-down", "pass", "requests while no --gateway answers, for --limits service: pass or refuse")
	choices(cmd, "limits", "off", "signed", "service")
	choices(cmd, "limits-down", "pass", "refuse")
}

// set transfers the flags to the Config.
func (l *limitFlags) set(c *envoy.Config, mode string) error {
	switch {
	case l.by != "off" && l.by != "signed" && l.by != "service":
		return errors.New("--limits: must be off, signed or service")
	case l.down != "pass" && l.down != "refuse":
		return errors.New("--limits-down: must be pass or refuse")
	case l.by != "off" && mode == "gateway":
		return errors.New("--limits: has no effect with --mode gateway: burnkey gateway holds all limits")
	case l.by == "signed" && len(c.SignedLimits) == 0:
		return errors.New("--signed-limit: must be given as REQUESTS/UNIT with --limits signed")
	case l.by != "signed" && len(c.SignedLimits) > 0:
		return errors.New("--signed-limit: is for --limits signed")
	case l.by == "service" && len(c.Gateways) == 0:
		return errors.New("--gateway: must be given as HOST:PORT with --limits service")
	}
	c.RefuseWithoutLimits = l.down == "refuse"
	if l.by == "service" {
		c.Gateways, c.LimitServices = nil, c.Gateways
	}
	return nil
}
