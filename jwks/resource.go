package jwks

import (
	"errors"
	"net/url"
	"regexp"
)

// A Protection is what refused clients learn about how to authenticate.
type Protection struct {
	Places Places
	// Realm is the protection space (RFC 9110 section 11.5).
	Realm string
	// Metadata is the URL of the metadata of the protected resource (RFC 9728 section 5.1), or empty: see ResourceMetadataURL.
	Metadata string
}

const resourcePath = "/.well-known/oauth-protected-resource"

var resourceHost = regexp.MustCompile(`^[A-Za-z0-9._:[\]-]+$`)

var errResource = errors.New("must be the URL of an API, such as https://api.example.com, without a query or fragment")

// ResourceMetadataURL returns the URL of the metadata of a protected resource, an API whose URL is its identifier
// (RFC 9728 section 3.1), and the path of that URL.
func ResourceMetadataURL(resource string) (metadata, path string, err error) {
	u, err := url.Parse(resource)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || !resourceHost.MatchString(u.Host) || u.User != nil ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.RawPath != "" {
		return "", "", errResource
	}
	if u.Path == "/" {
		u.Path = ""
	}
	u.Path = resourcePath + u.Path
	return u.String(), u.EscapedPath(), nil
}
