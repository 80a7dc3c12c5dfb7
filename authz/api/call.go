package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/burnkey/burnkey/authz"
)

// call describes a management call. Its parameters and body are documented by the type of its input.
type call struct {
	id, route, summary, description string // the route is a method and a path
	scopes                          []string
	status                          int    // of success; 0: 200
	errors                          []int  // besides those of every call
	content                         string // media type of success; "": JSON
	basic                           bool   // the management key can be the password of Basic
}

// register adds a management call and converts its errors to problems.
func register[In, Out any](a *api, h huma.API, c call, f func(context.Context, *In) (*Out, error)) {
	method, path, _ := strings.Cut(c.route, " ")
	op := huma.Operation{
		OperationID: c.id, Method: method, Path: path, Summary: c.summary, Description: c.description,
		DefaultStatus: c.status, Security: anyOf(c.scopes...), Errors: append(c.errors, 401, 403, 429, 503),
	}
	if c.basic {
		op.Security = append(op.Security, map[string][]string{clientSecret: {}})
	}
	if strings.Contains(path, "{ws}") {
		op.Errors = append(op.Errors, 404)
	}
	if readsBody[In]() {
		op.BodyReadTimeout = bodyWasRead
		op.Errors = append(op.Errors, 400, 408, 413, 415)
	}
	if c.content != "" {
		op.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: map[string]*huma.MediaType{
			c.content: {Schema: &huma.Schema{Type: huma.TypeString}},
		}}}
	}
	huma.Register(h, op, func(ctx context.Context, in *In) (*Out, error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
	if method == http.MethodPatch {
		takesMergePatch(h.OpenAPI().Paths[path].Patch)
	}
}

func readsBody[In any]() bool {
	_, json := reflect.TypeFor[In]().FieldByName("Body")
	_, raw := reflect.TypeFor[In]().FieldByName("RawBody")
	return json || raw
}

// result is an answer with a body and no additional headers.
type result[T any] struct{ Body T }

// body makes a handler from a function that returns only the body of an answer.
func body[In, T any](f func(context.Context, *In) (T, error)) func(context.Context, *In) (*result[T], error) {
	return func(ctx context.Context, in *In) (*result[T], error) {
		text, err := f(ctx, in)
		return &result[T]{text}, err
	}
}

// anyOf returns a security requirement: one of the scopes, or admin. authorize enforces it.
func anyOf(scopes ...string) []map[string][]string {
	var alternatives []map[string][]string
	for _, scope := range append(scopes, authz.ScopeAdmin) {
		alternatives = append(alternatives, map[string][]string{managementKey: {scope}})
	}
	return alternatives
}
