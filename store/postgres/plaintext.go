package postgres

import (
	"log/slog"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
)

// warnOfPlaintext reports hosts of other machines that may be spoken to without TLS: whoever is on
// the way could read the password and put in keys of their own.
func warnOfPlaintext(config *pgx.ConnConfig, log *slog.Logger) {
	told := make(map[string]bool)
	note := func(host string, encrypted bool) {
		if !encrypted && !isLocal(host) && !told[host] {
			told[host] = true
			log.Warn("the database may be spoken to without TLS, since sslmode permits it; set sslmode=verify-full", "host", host)
		}
	}
	note(config.Host, config.TLSConfig != nil)
	for _, f := range config.Fallbacks {
		note(f.Host, f.TLSConfig != nil)
	}
}

// isLocal says whether a host is this machine: a folder of sockets, or loopback.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return strings.HasPrefix(host, "/") || strings.HasPrefix(host, "@") || host == "localhost" || ip != nil && ip.IsLoopback()
}
