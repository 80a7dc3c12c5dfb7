package postgres

import (
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// warnOfPlaintext warns about remote hosts to which a connection is possible without TLS: an attacker on the
// network could read the password and insert keys.
func warnOfPlaintext(config *pgx.ConnConfig, log *slog.Logger) {
	for _, host := range plaintextHosts(config) {
		log.Warn("sslmode permits connections to the database without TLS; set sslmode=verify-full", "host", host)
	}
}

// plaintextHosts returns the remote hosts to which a connection is possible without TLS.
func plaintextHosts(config *pgx.ConnConfig) (hosts []string) {
	note := func(host string, encrypted bool) {
		if !encrypted && !isLocal(host) && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	note(config.Host, config.TLSConfig != nil)
	for _, f := range config.Fallbacks {
		note(f.Host, f.TLSConfig != nil)
	}
	return hosts
}

// isLocal reports whether a host is this machine: a folder of Unix sockets, or a loopback address.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || ip != nil && ip.IsLoopback()
}
