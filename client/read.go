package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/jwks"
)

// maxDepth admits claims of the greatest depth, in a key, in a list, in an object.
const maxDepth = jwks.MaxDepth + 3

// errAnswer is wrapped by errors about a successful answer. They do not quote it.
var errAnswer = errors.New("invalid answer from the server")

// A result takes the text that it was read from, and reports whether the members are there that identify it.
type result interface{ complete(text Secret) bool }

// call makes a request and returns the answer as a T.
func call[T any](ctx context.Context, c *Client, r request) (*T, error) {
	answer, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	return read[T](answer.text)
}

// read returns a JSON text as a T. It must not be incomplete.
func read[T any](text []byte) (*T, error) {
	into := new(T)
	if err := decode(text, into); err != nil {
		return nil, err
	}
	if r, ok := any(into).(result); ok && !r.complete(Secret(text)) {
		return nil, fmt.Errorf("%w: a required member is missing", errAnswer)
	}
	return into, nil
}

// decode reads JSON strictly: one value, no member twice, not nested too deep.
func decode(text []byte, into any) error {
	if _, deep := jwks.TooDeep(text, maxDepth); deep {
		return fmt.Errorf("%w: nested deeper than %d levels", errAnswer, maxDepth)
	}
	if json.Unmarshal(text, into) != nil {
		return fmt.Errorf("%w: not the expected JSON", errAnswer)
	}
	return nil
}

// has reports whether an object has all these members.
func has(text Secret, names ...string) bool {
	var members map[string]jsontext.Value
	err := decode([]byte(text), &members)
	return err == nil && !slices.ContainsFunc(names, func(name string) bool { return members[name] == nil })
}
