package jwks

// HomeWorkspace is the id of the server's own workspace, whose keys are management keys.
const HomeWorkspace = "burnkey"

// WorkspacePattern is the regular expression for the id of a workspace.
const WorkspacePattern = `^[a-z0-9][a-z0-9-]{0,62}$`

// Paths of the HTTP interface. The issuer of a workspace's tokens is the server's public URL followed by
// IssuerPath and the workspace's id.
const (
	IssuerPath  = "/v1/auth/oauth/"
	SetPath     = "/.well-known/jwks.json" // after the issuer: the published set
	ChangesPath = "/changes"               // after the issuer: the change stream
	FeedPath    = "/v1/feed"               // after the server's URL: the feed
)

// Media types.
const (
	MediaType  = "application/jwk-set+json" // of a JWK set (RFC 7517 section 8.5)
	StreamType = "text/event-stream"        // of the change stream (WHATWG HTML section 9.2)
)

// Header fields that identify the set, also in a 304. A Follower relies on them if a proxy drops or
// rewrites the ETag, since proxies have no reason to change unknown fields.
const (
	FingerprintHeader = "Burnkey-Fingerprint" // the Fingerprint of the set
	VersionHeader     = "Burnkey-Version"     // the version of the set
)

// MaxReport is the maximum number of keys in one report of usage.
const MaxReport = 500
