package extauthz

import (
	"net/http"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/burnkey/burnkey/gateway"
	"github.com/burnkey/burnkey/jwks"
)

// overwrite makes Envoy replace a header that the client sent.
const overwrite = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD

// field is a gateway.Field in two forms: as a header and as dynamic metadata.
type field struct {
	option corev3.HeaderValueOption
	header corev3.HeaderValue
	value  structpb.Value
	text   structpb.Value_StringValue
}

// allowed contains all parts of a response, so that one allocation is enough.
type allowed struct {
	response authv3.CheckResponse
	status   status.Status
	http     authv3.CheckResponse_OkResponse
	ok       authv3.OkHttpResponse
	fields   [4]field
	options  [5]*corev3.HeaderValueOption
	answer   [1]headerOption // most answers have one header
	answers  [1]*corev3.HeaderValueOption
	metadata structpb.Struct
}

// allow returns the response to a request that may pass.
func allow(d *gateway.Decision) *authv3.CheckResponse {
	a := &allowed{}
	a.metadata.Fields = make(map[string]*structpb.Value, len(a.fields))
	fields := d.Fields()
	for i := range fields {
		a.set(i, &fields[i])
	}
	a.ok.Headers, a.ok.HeadersToRemove = a.options[:len(fields)], d.Remove
	if d.Path != "" {
		a.ok.Headers = append(a.ok.Headers, pathOption(d.Path))
	}
	a.ok.ResponseHeadersToAdd = headerOptions(d.ResponseHeaders(), a.answer[:], a.answers[:])
	a.http.OkResponse = &a.ok
	a.response.Status, a.response.HttpResponse, a.response.DynamicMetadata = &a.status, &a.http, &a.metadata
	return &a.response
}

// pathOption replaces the path. With query_parameters_to_remove, Envoy would sort the other parameters.
func pathOption(path string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: ":path", Value: path}, AppendAction: overwrite}
}

func (a *allowed) set(i int, from *gateway.Field) {
	f := &a.fields[i]
	f.header.Key, f.header.Value = from.Header, from.Value
	f.option.Header, f.option.AppendAction = &f.header, overwrite
	f.text.StringValue = from.Value
	f.value.Kind = &f.text
	a.options[i] = &f.option
	a.metadata.Fields[from.Name] = &f.value
}

// refusalKey identifies a cached response to a refused request.
type refusalKey struct {
	*jwks.Refusal
	head bool
}

// refuse returns the response to a refused request. Responses are cached, since there are only a few different
// ones.
func (s *Server) refuse(d *gateway.Decision, head bool) *authv3.CheckResponse {
	if !d.IsCommon() {
		return newRefusal(d, head)
	}
	key := refusalKey{d.Refusal, head}
	if cached, ok := s.refusals.Load(key); ok {
		return cached.(*authv3.CheckResponse)
	}
	cached, _ := s.refusals.LoadOrStore(key, newRefusal(d, head))
	return cached.(*authv3.CheckResponse)
}

func newRefusal(d *gateway.Decision, head bool) *authv3.CheckResponse {
	denied := &authv3.DeniedHttpResponse{
		Status:  &typev3.HttpStatus{Code: typev3.StatusCode(d.Refusal.Status)},
		Headers: headerOptions(d.ResponseHeaders(), nil, nil),
	}
	if !head {
		denied.Body = string(d.Problem())
	}
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(grpcCode(d.Refusal.Status))},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
		// Envoy's own local replies lack this metadata.
		DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{"refused": structpb.NewStringValue(d.Refusal.Reason)}},
	}
}

// headerOption has memory for a header that Envoy adds to a response.
type headerOption struct {
	option corev3.HeaderValueOption
	header corev3.HeaderValue
}

// headerOptions returns headers in the form in which Envoy adds them to a response. It uses the memory
// of all and options if that suffices.
func headerOptions(headers []gateway.Header, all []headerOption, options []*corev3.HeaderValueOption) []*corev3.HeaderValueOption {
	if len(headers) == 0 {
		return nil
	}
	if len(all) < len(headers) {
		all, options = make([]headerOption, len(headers)), make([]*corev3.HeaderValueOption, len(headers))
	}
	options = options[:len(headers)]
	for i := range headers {
		h := &all[i]
		h.header.Key, h.header.Value = headers[i].Name, headers[i].Value
		h.option.Header, h.option.AppendAction = &h.header, overwrite
		options[i] = &h.option
	}
	return options
}

func grpcCode(status int) codes.Code {
	switch status {
	case http.StatusBadRequest:
		return codes.InvalidArgument
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusTooManyRequests:
		return codes.ResourceExhausted
	case http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.Internal
}
