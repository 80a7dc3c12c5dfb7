// Package portal implements the self-service pages: owners issue, rotate and revoke their own keys, and
// the producer's operators see and revoke all keys. The pages are rendered on the server and work without
// JavaScript. The package stores nothing itself; package authz makes all decisions.
package portal

import (
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/language"
	"github.com/burnkey/burnkey/authz/portal/oidc"
	"github.com/burnkey/burnkey/internal/logs"
	"github.com/burnkey/burnkey/internal/outbound"
	"github.com/burnkey/burnkey/internal/pace"
	"github.com/burnkey/burnkey/publish"
)

// Options configure the portal. Service, Publisher, PublicURL and Providers are required.
type Options struct {
	Service   *authz.Service
	Publisher *publish.Publisher
	// PublicURL is the URL at which browsers reach the server. Forms from pages of other origins are
	// refused.
	PublicURL string
	// ClientSecrets are the client secrets for OpenID providers, by workspace id. A workspace without a
	// client secret is a public client.
	ClientSecrets map[string]ClientSecret
	// Providers is the HTTP client for OpenID providers. It must not follow redirects.
	Providers *http.Client
	// Now is the clock. Nil: the Service's.
	Now func() time.Time
	// Metrics registers the portal's metrics, if not nil.
	Metrics prometheus.Registerer
	// Log receives failures, if not nil.
	Log *slog.Logger
}

// ClientSecret is sent only to the provider of its issuer.
type ClientSecret = oidc.ClientSecret

// portal answers all paths below authz.PortalPath. It is safe for concurrent use.
type portal struct {
	service       *authz.Service
	publisher     *publish.Publisher
	base          string // prefix of all paths as browsers see them
	origin        string // of its pages (RFC 6454 section 6.2)
	publicURL     string // without a slash at the end
	now           func() time.Time
	log           *slog.Logger
	logins        *loginBudget
	providers     *oidc.Providers
	clientSecrets map[string]ClientSecret
	looks         looks
	paces         pace.Limiter
	warnings      logs.Throttle
	mux           *http.ServeMux
	languages     *language.Languages
	pages         map[string]*template.Template
	assets        map[string]asset
}

// New returns the handler of every path below authz.PortalPath.
func New(o Options) (http.Handler, error) {
	u, err := url.Parse(o.PublicURL)
	if err != nil || u.Host == "" {
		return nil, errors.New("the portal's public URL must be absolute, such as https://keys.example.com")
	}
	if o.Now == nil {
		o.Now = o.Service.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &portal{
		service: o.Service, publisher: o.Publisher, now: o.Now, log: o.Log, logins: newLoginBudget(o.Metrics, o.Log),
		providers: oidc.New(o.Providers, outbound.IsLoopback(u), o.Now), clientSecrets: o.ClientSecrets, mux: http.NewServeMux(),
		base:   strings.TrimRight(u.EscapedPath(), "/") + authz.PortalPath,
		origin: originOf(u), publicURL: strings.TrimRight(u.String(), "/"), pages: readPages(), assets: readAssets(),
	}
	if p.languages, err = readLanguages(); err != nil {
		return nil, err
	}
	p.routes()
	return p, nil
}

// originOf returns the origin of a URL as browsers write it, without a default port (RFC 6454 section
// 6.2).
func originOf(u *url.URL) string {
	usual := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return strings.ToLower(u.Scheme + "://" + strings.TrimSuffix(u.Host, usual))
}

// routes registers all paths except links and assets: their prefixes, "link" and "assets", may also be
// workspace ids.
func (p *portal) routes() {
	in := func(method, path string, h handler) {
		p.mux.HandleFunc(method+" "+authz.PortalPath+"/{ws}"+path, p.serve(h))
	}
	owner := func(method, path string, h handler) { in(method, path, owned(h)) }
	change := func(path string, h handler) { in(http.MethodPost, path, owned(posted(maxForm, h))) }

	in("GET", "", toHome)
	in("GET", "/{$}", toHome)
	p.mux.HandleFunc("GET "+authz.PortalPath+"/{ws}/logo.png", p.publish(logo))
	p.mux.HandleFunc("GET "+authz.PortalPath+"/{ws}/theme.css", p.publish(theme))
	in("GET", "/login", alone(logIn))
	in("GET", "/callback", alone(comeBack))
	in("GET", "/loggedout", loggedOut)
	owner("GET", "/keys", listKeys)
	owner("GET", "/keys/new", newKey)
	change("/keys", createKey)
	owner("GET", "/keys/{id}", showKey)
	owner("GET", "/keys/{id}/live", isLive)
	owner("GET", "/keys/{id}/{action}", toKey)
	change("/keys/{id}/name", renameKey)
	change("/keys/{id}/pause", pauseKey)
	change("/keys/{id}/resume", resumeKey)
	change("/keys/{id}/addresses", changeAddresses)
	change("/keys/{id}/expiry", changeExpiry)
	change("/keys/{id}/scopes", changeScopes)
	change("/keys/{id}/request-plan", requestPlan)
	change("/keys/{id}/request-scopes", requestScopes)
	change("/keys/{id}/withdraw", withdrawRequest)
	change("/keys/{id}/rotate", rotateKey)
	change("/keys/{id}/undo", undoRotation)
	change("/keys/{id}/end", endGrace)
	change("/keys/{id}/revoke", revokeKey)
	owner("GET", "/history", showHistory)
	p.operatorRoutes()
	p.mux.HandleFunc("POST "+authz.PortalPath+"/logout", p.serve(logOut))
	p.mux.HandleFunc("GET "+authz.PortalPath, p.serve(door))
	p.mux.HandleFunc("GET "+authz.PortalPath+"/{$}", p.serve(door))
	p.mux.HandleFunc(authz.PortalPath+"/", p.serve(func(*visit) error { return errNowhere }))
}

// ServeHTTP implements http.Handler. It sets the request's Pattern for the log, since a path may contain
// a secret.
func (p *portal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rest, ok := strings.CutPrefix(r.URL.Path, authz.PortalPath+"/link/"); ok && len(rest) == linkLen && !strings.Contains(rest, "/") {
		r.Pattern = authz.PortalPath + "/link/{secret}"
		r.SetPathValue("secret", rest)
		p.serve(openLink)(w, r)
		return
	}
	if name, ok := strings.CutPrefix(r.URL.Path, authz.PortalPath+"/assets/"); ok && p.assets[name].body != nil {
		r.Pattern = authz.PortalPath + "/assets/{name}"
		p.serveAsset(w, r, p.assets[name])
		return
	}
	if _, ok := tidy(r.URL); !ok {
		r.Pattern = authz.PortalPath + "/"
		p.serve(toTidy)(w, r)
		return
	}
	p.mux.ServeHTTP(w, r)
}
