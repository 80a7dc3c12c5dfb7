package api

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/jwks"
)

// format reads strictly: no member twice, none unknown, nothing behind the
// value, UTF-8 alone. The standard library's reader is laxer in all of it.
var format = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		enc := stdjson.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	},
	Unmarshal: func(data []byte, v any) error {
		// One level more for the outer object: a member may be as deep as it may be by itself.
		if member, deep := jwks.TooDeep(data, jwks.MaxDepth+1); deep {
			return &readFault{detail: fmt.Sprintf("must not be nested deeper than %d levels", jwks.MaxDepth), member: member}
		}
		if err := json.Unmarshal(data, v, json.RejectUnknownMembers(true)); err != nil {
			return readError(err, bytes.TrimLeft(data, " \t\r\n"))
		}
		return refuseNull(data, v)
	},
}

// refuseNull finds a null among a body's members: huma lets it pass for any that
// may be absent, and it is no value of their types. In a merge patch it means something.
// huma reads a body twice, as anything and as v, which is the only one to know.
func refuseNull(data []byte, v any) error {
	switch v.(type) {
	case *any, *WorkspacePatch, *KeyPatch:
		return nil
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(data, &members); err != nil {
		return readError(err, data)
	}
	for name, value := range members {
		if value.Kind() == 'n' {
			return &readFault{detail: "must not be null", member: name}
		}
	}
	return nil
}

// readFault is what was wrong with a body, and where. huma passes on no more of
// an error than its text, from which fieldOf takes the two apart again.
type readFault struct{ detail, member string }

const readFaultSeparator = "\n"

func (f *readFault) Error() string { return f.detail + readFaultSeparator + f.member }

// readError says what a reader found, without quoting the input.
func readError(err error, body []byte) error {
	fault := &readFault{detail: "must be JSON"}
	var (
		syntax   *jsontext.SyntacticError
		semantic *json.SemanticError
		at       jsontext.Pointer
	)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		fault.detail = "must not have a member twice"
		if errors.As(err, &syntax) {
			at = syntax.JSONPointer
		}
	case errors.As(err, &syntax):
		fault.detail = fmt.Sprintf("must be one JSON value in UTF-8; the fault is at byte %d, counted from 0, or behind it", syntax.ByteOffset)
		at = syntax.JSONPointer
	case errors.As(err, &semantic):
		fault.detail = "is of the wrong type or out of range"
		if at = semantic.JSONPointer; semantic.GoType == reflect.TypeFor[[]byte]() {
			fault.detail = mustBeLogo
		}
	}
	if !bytes.HasPrefix(body, []byte("{")) {
		return fault // it has no members
	}
	fault.member = strings.ReplaceAll(strings.TrimPrefix(string(at), "/"), "/", ".")
	return fault
}

// seconds is a whole number in any of JSON's spellings, 60.0 among them.
type seconds int64

// UnmarshalJSON reads what passed as an integer within limits.
func (s *seconds) UnmarshalJSON(data []byte) error {
	var number float64
	if err := json.Unmarshal(data, &number); err != nil {
		return err
	}
	*s = seconds(number)
	return nil
}

// object is a JSON object that is passed on as it came.
type object jsontext.Value

// MarshalJSON returns the object as it came.
func (o object) MarshalJSON() ([]byte, error) {
	if len(o) == 0 {
		return []byte("{}"), nil
	}
	return o, nil
}

// UnmarshalJSON keeps the object as it comes.
func (o *object) UnmarshalJSON(data []byte) error {
	*o = append((*o)[:0], data...)
	return nil
}

// Schema is huma's: any object.
func (object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}
