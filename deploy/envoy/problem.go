package envoy

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/burnkey/burnkey/jwks"
)

// problem is what differs between the bodies of refusals. Its texts are format strings of Envoy.
type problem struct{ Type, Title, Code string }

// Problem returns the problem with a code of package jwks.
func (v view) Problem(code string) (problem, error) {
	for _, c := range jwks.RefusalCodes() {
		if c.Code == code {
			typ, title := c.Problem(v.docs())
			return problem{strings.ReplaceAll(typ, "%", "%%"), title, code}, nil
		}
	}
	return problem{}, fmt.Errorf("no refusal has the code %q", code)
}

// docs returns the public URL of the server, which has a page about each refusal, or "" if it is unknown.
func (v view) docs() string {
	if v.Gateway != nil {
		return v.PublicURL
	}
	return cmp.Or(v.PublicURL, v.Config.Server)
}

// jwtReasons are parts of the response code details of jwt_authn, by the codes of the refusals. For all other details, the
// token is malformed.
var jwtReasons = []struct{ code, part string }{
	{"unknown", "match_kid"},
	{"expired", "is_expired"},
	{"audience", "Audiences"},
	{"issuer", "issuer_is_not"},
	{"signature", "verification_fails"},
}

// JWTProblem returns the problem of a token that jwt_authn refused. CEL chooses its texts by the response code details.
func (v view) JWTProblem() (problem, error) {
	other, err := v.Problem("malformed")
	code, title := "'"+other.Code+"'", "'"+other.Title+"'"
	for _, r := range jwtReasons {
		p, failed := v.Problem(r.code)
		err = cmp.Or(err, failed)
		is := "response.code_details.contains('" + r.part + "') ? "
		code, title = is+"'"+p.Code+"' : "+code, is+"'"+p.Title+"' : "+title
	}
	code = "%CEL(" + code + ")%"
	return problem{strings.TrimSuffix(other.Type, other.Code) + code, "%CEL(" + title + ")%", code}, err
}
