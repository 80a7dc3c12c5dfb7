package client

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/jwks"
)

// maxDepth allows the most deeply nested claims of a key in a list of keys.
const maxDepth = jwks.MaxDepth + 3

// errAnswer is wrapped by every error about the content of a successful answer. Such errors do not quote the
// answer.
var errAnswer = errors.New("invalid answer from the server")

// Answer has the JSON text of an answer, or of an item in a list. The types of answers embed it.
type Answer struct {
	Raw Secret `json:"-"`
}

// Text returns the JSON text.
func (a *Answer) Text() string { return a.Raw.Reveal() }

func (a *Answer) keep(text []byte) { a.Raw = Secret(text) }

// members returns the members of the JSON object, except those that are null.
func (a *Answer) members() (members map[string]jsontext.Value) {
	_ = decode([]byte(a.Raw), &members) // was decoded before
	maps.DeleteFunc(members, func(_ string, value jsontext.Value) bool { return value.Kind() == 'n' })
	return members
}

// A result can report whether it has the members that identify it.
type result interface {
	keep(text []byte)
	complete() bool
}

// call makes a request and decodes the answer into a T.
func call[T any](ctx context.Context, c *Client, r request) (*T, error) {
	answer, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	return read[T](answer.text)
}

// read decodes JSON into a T. It returns an error if identifying members are missing.
func read[T any](text []byte) (*T, error) {
	into := new(T)
	if err := decode(text, into); err != nil {
		return nil, err
	}
	if r, ok := any(into).(result); ok {
		if r.keep(text); !r.complete() {
			return nil, fmt.Errorf("%w: a required member is missing", errAnswer)
		}
	}
	return into, nil
}

// items decodes the items of a JSON list. It returns false if the JSON is not a list or an item is incomplete.
func items[T any](list []byte) ([]T, bool) {
	var texts []jsontext.Value
	if decode(list, &texts) != nil || texts == nil {
		return nil, false
	}
	all := make([]T, len(texts))
	for i, text := range texts {
		item, err := read[T](text)
		if err != nil {
			return nil, false
		}
		all[i] = *item
	}
	return all, true
}

// decode reads JSON strictly: a single value, without duplicate members or excessive nesting.
func decode(text []byte, into any) error {
	if _, deep := jwks.TooDeep(text, maxDepth); deep {
		return fmt.Errorf("%w: nested deeper than %d levels", errAnswer, maxDepth)
	}
	if json.Unmarshal(text, into) != nil {
		return fmt.Errorf("%w: not the expected JSON", errAnswer)
	}
	return nil
}
