package envoy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxRoutesFile is the largest routes file in bytes.
const maxRoutesFile = 8 << 20

// Words is a list, in a file also as text separated by spaces.
type Words []string

// UnmarshalYAML implements yaml.Unmarshaler.
func (w *Words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*w = strings.Fields(n.Value)
	} else if err := n.Decode((*[]string)(w)); err != nil {
		return err
	}
	if len(*w) == 0 {
		return fmt.Errorf("line %d: is empty; leave it out to require nothing", n.Line)
	}
	return nil
}

// ReadRoutes reads a routes file or an OpenAPI 3 document, in YAML or JSON. In the latter, scheme is the name of the security
// scheme of keys; it can be empty if there is only one. Errors say where the fault is, and do not name the file.
func ReadRoutes(r io.Reader, scheme string) ([]Route, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxRoutesFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxRoutesFile:
		return nil, fmt.Errorf("must have at most %d MiB", maxRoutesFile>>20)
	}
	var kind struct {
		OpenAPI string `yaml:"openapi"`
		Swagger string `yaml:"swagger"`
	}
	if err := yaml.Unmarshal(text, &kind); err != nil {
		return nil, inPlainWords(err)
	}
	switch {
	case kind.OpenAPI != "":
		return readOpenAPI(text, kind.OpenAPI, scheme)
	case kind.Swagger != "":
		return nil, errors.New("must be OpenAPI 3, not Swagger " + kind.Swagger)
	case scheme != "":
		return nil, errors.New("must be an OpenAPI 3 document, since a security scheme is named")
	}
	return readRoutes(text)
}

func readRoutes(text []byte) ([]Route, error) {
	var all yaml.Node
	var file struct {
		Routes []Route `yaml:"routes"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, inPlainWords(err)
	}
	if err := yaml.Unmarshal(text, &all); err != nil {
		return nil, inPlainWords(err)
	}
	// The decoder skips it, and a route whose scopes were forgotten would require none.
	if null := findNull(&all); null != nil {
		return nil, fmt.Errorf("line %d: a value is missing", null.Line)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("must be one document")
	}
	if len(file.Routes) == 0 {
		return nil, errors.New("must have a list named routes, or be an OpenAPI 3 document")
	}
	return file.Routes, nil
}

func findNull(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return n
	}
	for _, child := range n.Content {
		if found := findNull(child); found != nil {
			return found
		}
	}
	return nil
}

var (
	goType    = regexp.MustCompile(`not found in type .*`)
	wrongType = regexp.MustCompile("cannot unmarshal !!\\w+(?: `.*`)? into (.+)")
)

// inPlainWords removes the names of Go's types from an error.
func inPlainWords(err error) error {
	bad := new(yaml.TypeError)
	if !errors.As(err, &bad) {
		return errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	text := goType.ReplaceAllString(bad.Errors[0], "is unknown")
	if found := wrongType.FindStringSubmatch(text); found != nil {
		text = strings.Replace(text, found[0], "must be "+yamlWord(found[1]), 1)
	}
	return errors.New(text)
}

// yamlWord returns what a value of a Go type is in YAML.
func yamlWord(goType string) string {
	switch {
	case strings.HasPrefix(goType, "[]"), strings.HasSuffix(goType, ".security"):
		return "a list"
	case goType == "bool":
		return "true or false"
	case goType == "string":
		return "text"
	}
	return "a map"
}
