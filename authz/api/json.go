package api

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/jwks"
)

// format decodes strictly. Unlike in the standard library, duplicate and unknown members, data after the value
// and invalid UTF-8 are errors.
var format = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		enc := stdjson.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	},
	Unmarshal: func(data []byte, v any) error {
		// The limit is for members: the body itself is an object around them, which adds a level.
		if member, deep := jwks.TooDeep(data, jwks.MaxDepth+1); deep {
			return &readFault{detail: fmt.Sprintf("must not be nested deeper than %d levels", jwks.MaxDepth), member: member}
		}
		if err := json.Unmarshal(data, v, json.RejectUnknownMembers(true), wholeNumbers); err != nil {
			return readError(err, bytes.TrimLeft(data, " \t\r\n"))
		}
		return refuseNull(data, v)
	},
}

// refuseNull refuses null for members, which huma accepts for all optional ones, and within lists. In a merge patch, null
// has a meaning, but not within a list, which it replaces as a whole (RFC 7396 section 1). An any is exempt: huma first
// decodes each body into an any, then into the body's type.
func refuseNull(data []byte, v any) error {
	isPatch := false
	switch v.(type) {
	case *any:
		return nil
	case *WorkspacePatch, *KeyPatch, *PlanPatch:
		isPatch = true
	}
	in := jsontext.NewDecoder(bytes.NewReader(data))
	for {
		token, err := in.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return readError(err, data)
		}
		if at := in.StackPointer(); token.Kind() == 'n' && !isFree(at) && (inList(in) || !isPatch && !isWithin(at, "change")) {
			return &readFault{detail: "must not be null", member: memberAt(at)}
		}
	}
}

// isFree reports whether a place is within an object that may contain anything.
func isFree(at jsontext.Pointer) bool { return isWithin(at, "claims") || isWithin(at, "metadata") }

// isWithin reports whether a place is below a member with this name.
func isWithin(at jsontext.Pointer, name string) bool {
	for at = at.Parent(); at != ""; at = at.Parent() {
		if at.LastToken() == name {
			return true
		}
	}
	return false
}

func inList(in *jsontext.Decoder) bool {
	for level := range in.StackDepth() {
		if kind, _ := in.StackIndex(level + 1); kind == '[' {
			return true
		}
	}
	return false
}

// readFault reports an invalid member. huma keeps only the error's string, which fieldOf splits again.
type readFault struct{ detail, member string }

const readFaultSeparator = "\n"

func (f *readFault) Error() string { return f.detail + readFaultSeparator + f.member }

// readError converts an error of the JSON decoder to one that does not quote the input.
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
		fault.detail = fmt.Sprintf("must be one JSON value in UTF-8; the error is at byte %d, counted from 0, or after it", syntax.ByteOffset)
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
	fault.member = memberAt(at)
	return fault
}

// memberAt returns the member's name as other checks write it, such as limits[0].name.
func memberAt(at jsontext.Pointer) string {
	var name strings.Builder
	for part := range at.Tokens() {
		if _, err := strconv.ParseUint(part, 10, 32); err == nil { // only claims and metadata can have a member named by a number
			name.WriteString("[" + part + "]")
			continue
		}
		if name.Len() > 0 {
			name.WriteByte('.')
		}
		name.WriteString(part)
	}
	return name.String()
}

// wholeNumbers decodes a number that was validated as an integer, in any spelling, such as 60.0.
var wholeNumbers = json.WithUnmarshalers(json.UnmarshalFunc(func(data []byte, v *int64) error {
	var number float64
	err := json.Unmarshal(data, &number)
	*v = int64(number)
	return err
}))

// object is a JSON object that is passed on unchanged.
type object jsontext.Value

// MarshalJSON returns the object unchanged.
func (o object) MarshalJSON() ([]byte, error) {
	if len(o) == 0 {
		return []byte("{}"), nil
	}
	return o, nil
}

// UnmarshalJSON copies the object.
func (o *object) UnmarshalJSON(data []byte) error {
	*o = append((*o)[:0], data...)
	return nil
}

// Schema implements huma.SchemaProvider.
func (object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}
