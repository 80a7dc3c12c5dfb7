package jwks

// HomeWorkspace is the server's own workspace. Its keys are management keys.
const HomeWorkspace = "burnkey"

// WorkspacePattern is the regular expression for the id of a workspace.
const WorkspacePattern = `^[a-z0-9][a-z0-9-]{0,62}$`

// Paths of the HTTP interface. The issuer of a workspace's tokens is the server's public URL,
// IssuerPath and the workspace's id.
const (
	IssuerPath  = "/v1/auth/oauth/"
	SetPath     = "/.well-known/jwks.json" // after the issuer: the published set
	ChangesPath = "/changes"               // after the issuer: the change stream
)

// Media types.
const (
	MediaType  = "application/jwk-set+json" // of a JWK set (RFC 7517 section 8.5)
	StreamType = "text/event-stream"        // of the change stream (WHATWG HTML section 9.2)
)

// Header fields that identify the set, also in a 304. Proxies have no reason to change them, so a
// Follower relies on them if the ETag is dropped or rewritten.
const (
	FingerprintHeader = "Burnkey-Fingerprint" // the Fingerprint of the set
	VersionHeader     = "Burnkey-Version"     // the version of the set
)

// MaxReport is the largest number of keys in one report of usage.
const MaxReport = 500
