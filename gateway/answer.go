package gateway

import (
	"net/http"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/burnkey/burnkey/jwks"
)

// What an API finds about the key of a request, as headers and, under the names
// behind, as dynamic metadata of envoy.filters.http.ext_authz.
const (
	headerKeyID     = "x-burnkey-key-id"    // key_id
	headerOwner     = "x-burnkey-owner"     // owner
	headerWorkspace = "x-burnkey-workspace" // workspace
	headerScopes    = "x-burnkey-scopes"    // scopes

	// headerIssuer is what jwt_authn sets in its place; an API that was once behind
	// that may still believe it.
	headerIssuer = "x-burnkey-issuer"
)

// overwrite is what becomes of a header that the client sent, too.
const overwrite = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD

// answers makes the answers, and keeps those that are always the same.
type answers struct {
	removed, removedScopes []string // headers, the second where the token has no scopes
	refusals               sync.Map // refusalKey to *authv3.CheckResponse
}

type refusalKey struct {
	*jwks.Refusal
	head bool
}

func newAnswers(stripAuthorization bool) *answers {
	a := &answers{removed: []string{headerIssuer}}
	if stripAuthorization {
		a.removed = append(a.removed, "authorization")
	}
	a.removedScopes = append(append([]string{}, a.removed...), headerScopes)
	return a
}

// field is a value in the two forms in which it goes out.
type field struct {
	option corev3.HeaderValueOption
	header corev3.HeaderValue
	value  structpb.Value
	text   structpb.Value_StringValue
}

// passing is all of an answer in one piece of memory.
type passing struct {
	answer   authv3.CheckResponse
	status   status.Status
	http     authv3.CheckResponse_OkResponse
	ok       authv3.OkHttpResponse
	fields   [4]field
	options  [4]*corev3.HeaderValueOption
	metadata structpb.Struct
}

// pass answers that the holder of the claims may pass, or nil if there is none, or
// if a claim does not fit a header.
func (a *answers) pass(t *tenant, claims *jwks.Claims) *authv3.CheckResponse {
	if t == nil || !isHeaderValue(claims.ID) || !isHeaderValue(claims.Subject) || !isHeaderValue(claims.Scope) {
		return nil
	}
	p := &passing{}
	p.metadata.Fields = make(map[string]*structpb.Value, len(p.fields))
	p.set(0, headerKeyID, "key_id", claims.ID)
	p.set(1, headerOwner, "owner", claims.Subject)
	p.set(2, headerWorkspace, "workspace", t.id)
	n, removed := 3, a.removedScopes
	if claims.Scope != "" {
		p.set(3, headerScopes, "scopes", claims.Scope)
		n, removed = 4, a.removed
	}
	p.ok.Headers, p.ok.HeadersToRemove = p.options[:n], removed
	p.http.OkResponse = &p.ok
	p.answer.Status, p.answer.HttpResponse, p.answer.DynamicMetadata = &p.status, &p.http, &p.metadata
	return &p.answer
}

func (p *passing) set(i int, header, name, value string) {
	f := &p.fields[i]
	f.header.Key, f.header.Value = header, value
	f.option.Header, f.option.AppendAction = &f.header, overwrite
	f.text.StringValue = value
	f.value.Kind = &f.text
	p.options[i] = &f.option
	p.metadata.Fields[name] = &f.value
}

// isHeaderValue reports whether a text comes through a header as it is: it has no
// control character (RFC 9110 section 5.5), and no space at an end, which is lost.
func isHeaderValue(s string) bool {
	if s != "" && (s[0] == ' ' || s[len(s)-1] == ' ') {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// refuse answers why a request may not pass. The scopes are those that its route
// needs.
func (a *answers) refuse(no *jwks.Refusal, head bool, scopes string) *authv3.CheckResponse {
	if no == jwks.TooNarrow { // the challenge has the scopes
		return newRefusal(no, head, scopes)
	}
	key := refusalKey{no, head}
	if kept, ok := a.refusals.Load(key); ok {
		return kept.(*authv3.CheckResponse)
	}
	kept, _ := a.refusals.LoadOrStore(key, newRefusal(no, head, ""))
	return kept.(*authv3.CheckResponse)
}

func newRefusal(no *jwks.Refusal, head bool, scopes string) *authv3.CheckResponse {
	denied := &authv3.DeniedHttpResponse{
		Status: &typev3.HttpStatus{Code: typev3.StatusCode(no.Status)},
		Headers: []*corev3.HeaderValueOption{
			headerOption("content-type", "application/problem+json"),
			headerOption("cache-control", "no-store"),
			headerOption("x-content-type-options", "nosniff"),
		},
	}
	if challenge := no.Challenge(realm, scopes); challenge != "" {
		denied.Headers = append(denied.Headers, headerOption("www-authenticate", challenge))
	}
	if no.Status == http.StatusServiceUnavailable {
		denied.Headers = append(denied.Headers, headerOption("retry-after", "1"))
	}
	if !head {
		denied.Body = string(no.Problem())
	}
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(grpcCode(no.Status))},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
		// By it Envoy's own local replies can be told from this answer.
		DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{"refused": structpb.NewStringValue(no.Reason)}},
	}
}

func headerOption(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}, AppendAction: overwrite}
}

func grpcCode(status int) codes.Code {
	switch status {
	case http.StatusBadRequest:
		return codes.InvalidArgument
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.Internal
}
