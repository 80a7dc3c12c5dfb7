// Package reference renders the API's OpenAPI document for readers: as Markdown, and as a page without scripts.
package reference

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// writer writes Markdown.
type writer struct {
	strings.Builder
	doc *huma.OpenAPI
}

// Markdown renders a document's operations, by group, and its schemas. Of operations with the same summary,
// which are spellings of one, only the first is shown.
func Markdown(doc *huma.OpenAPI) string {
	w := &writer{doc: doc}
	groups := w.groups()
	w.line("| call | purpose |\n|---|---|")
	for _, tag := range doc.Tags {
		for _, op := range groups[tag.Name] {
			w.line("| `%s %s` | [%s](#%s) |", op.Method, op.Path, Cell(op.Summary), anchor(op.Summary))
		}
	}
	for _, tag := range doc.Tags {
		w.line("\n### %s: calls\n\n%s", tag.Name, wrap(tag.Description))
		for _, op := range groups[tag.Name] {
			w.operation(op)
		}
	}
	w.line("\n### Schemas\n\nThe objects of requests and responses. Members that are not required may be absent.")
	schemas := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		w.schema(name, schemas[name])
	}
	return w.String()
}

// groups returns the operations by group, in the order of their paths.
func (w *writer) groups() map[string][]*huma.Operation {
	groups, first := make(map[string][]*huma.Operation), make(map[string]string)
	each := func(f func(*huma.Operation)) {
		for _, path := range slices.Sorted(maps.Keys(w.doc.Paths)) {
			item := w.doc.Paths[path]
			for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
				if op != nil {
					f(op)
				}
			}
		}
	}
	each(func(op *huma.Operation) {
		if id := first[op.Summary]; id == "" || op.OperationID < id {
			first[op.Summary] = op.OperationID
		}
	})
	each(func(op *huma.Operation) {
		if first[op.Summary] == op.OperationID {
			groups[op.Tags[0]] = append(groups[op.Tags[0]], op)
		}
	})
	return groups
}

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

func (w *writer) operation(op *huma.Operation) {
	w.line("\n#### %s\n\n`%s %s`\n\n%s", op.Summary, op.Method, op.Path, wrap(op.Description))
	var scopes []string
	for _, alternative := range op.Security {
		for _, needed := range alternative {
			if len(needed) > 0 {
				scopes = append(scopes, "`"+strings.Join(needed, " ")+"`")
			}
		}
	}
	if len(scopes) > 0 {
		w.line("\nScope: %s.", strings.Join(scopes, " or "))
	}
	if len(op.Parameters) > 0 {
		w.line("\n| parameter | in | type | meaning |\n|---|---|---|---|")
		for _, p := range op.Parameters {
			w.line("| `%s` | %s | %s | %s |", p.Name, p.In, typeOf(p.Schema), Cell(p.Description))
		}
	}
	if op.RequestBody != nil {
		for _, kind := range slices.Sorted(maps.Keys(op.RequestBody.Content))[:1] {
			w.body("Request", kind, op.RequestBody.Content[kind])
		}
	}
	var problems []string
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		if status >= "400" {
			problems = append(problems, status)
			continue
		}
		content := op.Responses[status].Content
		if len(content) == 0 {
			w.line("\n**Response %s**, without a body.", status)
		}
		for _, kind := range slices.Sorted(maps.Keys(content)) {
			w.body("Response "+status, kind, content[kind])
		}
	}
	w.line("\n[Problems](problems/index.md): %s.", strings.Join(problems, ", "))
}

// body writes the schema and the example of a request or response.
func (w *writer) body(title, kind string, content *huma.MediaType) {
	w.line("\n**%s**, `%s`: %s", title, kind, typeOf(content.Schema))
	if text, ok := content.Example.(string); ok {
		w.line("\n```text\n%s\n```", strings.TrimSpace(text))
		return
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(content.Example); err == nil && content.Example != nil {
		w.line("\n```json\n%s```", text.String())
	}
}

func (w *writer) schema(name string, s *huma.Schema) {
	w.line("\n#### %s (schema)\n", name)
	if s.Description != "" {
		w.line("%s\n", wrap(s.Description+"."))
	}
	w.line("| member | type | required | meaning |\n|---|---|---|---|")
	for _, member := range slices.Sorted(maps.Keys(s.Properties)) {
		p, required := s.Properties[member], "no"
		if slices.Contains(s.Required, member) {
			required = "yes"
		}
		description := p.Description
		if p.Ref != "" {
			description = w.doc.Components.Schemas.SchemaFromRef(p.Ref).Description
		}
		w.line("| `%s` | %s | %s | %s |", member, typeOf(p), required, Cell(description))
	}
}

// typeOf returns a schema's type, with a link if the schema has a name.
func typeOf(s *huma.Schema) string {
	name := s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	switch {
	case name != "":
		return "[" + name + "](#" + anchor(name+" schema") + ")"
	case len(s.AnyOf) > 0:
		var types []string
		for _, one := range s.AnyOf {
			types = append(types, typeOf(one))
		}
		return strings.Join(types, " or ")
	case s.Type == huma.TypeArray:
		return "list of " + typeOf(s.Items)
	case len(s.Enum) > 0 && len(s.Enum) <= 4:
		values := make([]string, len(s.Enum))
		for i, value := range s.Enum {
			values[i] = fmt.Sprintf("`%v`", value)
		}
		return strings.Join(values, ", ")
	case s.Format != "" && s.Format != "int64":
		return s.Type + " (" + s.Format + ")"
	}
	return s.Type
}

// anchor returns the id that the renderers of Markdown give a heading of plain words.
func anchor(heading string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == ' ':
			return r
		}
		return -1
	}, strings.ToLower(heading))
	return strings.ReplaceAll(plain, " ", "-")
}

// Cell escapes text for a cell of a table.
func Cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(text)
}

// wrap breaks a paragraph into lines of up to 140 characters.
func wrap(text string) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(Cell(text)) {
		if line != "" && len(line)+1+len(word) > 138 {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return strings.Join(append(lines, line), "\n")
}
