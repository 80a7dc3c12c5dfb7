package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/burnkey/burnkey/publish"
)

// server is the configuration of serve.
type server struct {
	listen        string
	publicURL     string
	database      string
	adminKeyFile  string
	oidcSecrets   string
	pepperFile    string   // of imported keys
	proxies       []string // networks of trusted proxies
	outboundAllow []string // further networks that may be called
	logging       logging
	tracing       tracing
	mintWorkers   int
	mintQueue     int
	mintDeadline  time.Duration
	drainDelay    time.Duration
	drainTimeout  time.Duration
	checkEvery    time.Duration
	streamReaders int
	shift         time.Duration // of the exchange
	// webhookSecretFile contains the secret that signs webhooks. If the flag is empty, webhooks are not signed.
	webhookSecretFile string

	stdout io.Writer // for the first admin key, without --admin-key-file
	stderr io.Writer // for the log
}

// These constants limit each connection. publish.Handler has its own limits.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 2 * time.Minute // a key may wait for its turn
	idleTimeout       = 2 * time.Minute
	maxHeader         = 32 << 10

	followEvery  = time.Second // in case the database does not notify of changes by other servers
	compactEvery = time.Minute
	reapTimeout  = 5 * time.Second // how long the start may take to remove expired keys
)

func serveCommand() *cobra.Command {
	var s server
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: "Run the server until SIGINT, SIGTERM or SIGHUP. In an empty database it creates the workspace burnkey and one\n" +
			"admin key, which it writes to --admin-key-file or, without that flag, prints once.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.stdout, s.stderr = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return s.run(cmd.Context(), func(string) {})
		},
	}
	s.flags(cmd)
	return cmd
}

// flags adds the flags of s to cmd and sets their defaults.
func (s *server) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8080", "`HOST:PORT` to listen on")
	flags.StringVar(&s.publicURL, "public-url", "",
		"`URL` at which clients and gateways reach the server; every iss begins with it (default http:// and the listen address)")
	databaseFlag(cmd, &s.database)
	flags.StringVar(&s.adminKeyFile, "admin-key-file", "",
		"`FILE` (0600) to write the first admin key of an empty database to; an existing file is renamed to FILE.old")
	flags.StringVar(&s.webhookSecretFile, "webhook-secret-file", "",
		"`FILE` (0600) with the secret that signs messages to webhooks: whsec_…, or at least 24 bytes (default unsigned)")
	flags.StringVar(&s.oidcSecrets, "oidc-secrets", "",
		"JSON `FILE` (0600) with the client secrets for the OpenID providers of logins to the portal: "+
			"{\"WORKSPACE\": {\"issuer\": \"URL\", \"client_secret\": \"SECRET\"}}")
	flags.StringVar(&s.pepperFile, "pepper-file", "",
		"`FILE` with the pepper of imported keys that were hashed with HMAC-SHA-256, so that they can be exchanged, and revoked by "+
			"possession (default none)")
	flags.StringSliceVar(&s.proxies, "trusted-proxies", nil, "`NETWORKS` (CIDR) of proxies whose X-Forwarded-For header is trusted "+
		"(default none: a client's address is that of its connection)")
	flags.StringSliceVar(&s.outboundAllow, "outbound-allow", nil,
		"`NETWORKS` (CIDR) where webhooks and OpenID providers may be, in addition to public and private IPv4 networks")
	s.logging.flags(cmd)
	s.tracing.flags(flags)
	flags.IntVar(&s.mintWorkers, "mint-workers", 0, "minting processes that run at the same time (default one per CPU)")
	flags.IntVar(&s.mintQueue, "mint-queue", 256, "requests that may wait for a minting process; others get 503")
	flags.IntVar(&s.streamReaders, "stream-readers", publish.DefaultStreamReaders, "maximum number of readers of the change streams: at "+
		"most half for one workspace and a tenth for one address; twice as many more are reserved for keys with the scope gateway")
	intervalFlag(flags, &s.mintDeadline, "mint-deadline", 30*time.Second, "time after which a minting process is killed")
	intervalFlag(flags, &s.shift, "exchange-shift", time.Hour, "how long a signing key of the exchange is used")
	_ = flags.MarkHidden("exchange-shift") // only tests need another
	intervalFlag(flags, &s.drainDelay, "drain-delay", 0,
		"how long to keep serving after a signal, while /readyz fails: for load balancers that react late")
	intervalFlag(flags, &s.drainTimeout, "drain-timeout", 30*time.Second, "how long requests in progress may take after the drain delay")
	intervalFlag(flags, &s.checkEvery, "check-every", 10*time.Minute, "how often to compare the published sets with the database (0: never)")
}

// validate returns an error for settings that cannot work. It opens no files or connections.
func (s *server) validate() error {
	if s.mintWorkers < 0 || s.mintQueue < 1 || s.mintDeadline < time.Second {
		return fmt.Errorf("--mint-workers must be 0 or more, --mint-queue 1 or more and --mint-deadline 1s or more")
	}
	if s.streamReaders < 10 {
		return fmt.Errorf("--stream-readers: must be 10 or more")
	}
	if s.shift < time.Second {
		return fmt.Errorf("--exchange-shift: must be 1s or more")
	}
	err := cmp.Or(notNegative("drain-delay", s.drainDelay), notNegative("drain-timeout", s.drainTimeout),
		notNegative("check-every", s.checkEvery), checkAddress("listen", s.listen), s.tracing.validate())
	if err != nil {
		return err
	}
	if s.publicURL != "" {
		return checkPublicURL(s.publicURL)
	}
	host, _, _ := net.SplitHostPort(s.listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("--public-url: is required if --listen is not a single address")
	}
	return nil
}

func checkPublicURL(text string) error {
	u, err := url.Parse(text)
	// The URL is compared with the iss of tokens as a string, so only one spelling is allowed.
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.String() != text {
		return fmt.Errorf("--public-url: must be http(s)://HOST[:PORT][/PATH]")
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("--public-url: the port must be 1 to 65535")
		}
	}
	return nil
}
