package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// A text is a piece of prose with the line of the file on which it starts. It has the same line breaks as the
// file.
type text struct {
	line int
	body string
}

// texts returns the prose of a file. For Go files, this is comments, strings and doc tags; for other files,
// everything except code.
func texts(name string, content []byte) ([]text, error) {
	switch filepath.Ext(name) {
	case ".go":
		return goTexts(name, content)
	case ".md":
		return paragraphs(markdownCode.ReplaceAllStringFunc(string(content), blank)), nil
	case ".json":
		return lines(jsonName.ReplaceAllString(string(content), "")), nil
	case ".html", ".tmpl", ".tpl":
		return lines(templateCode.ReplaceAllStringFunc(string(content), blank)), nil
	}
	return scriptTexts(string(content)), nil
}

var (
	wholeComment    = regexp.MustCompile(`^\s*(?:#|--|//)+!?\s?`)
	quotedOrComment = regexp.MustCompile(`"[^"]* [^"]*"|'[^']* [^']*'|\s#.*`)

	markdownCode = regexp.MustCompile("(?s)```.*?```|`[^`\n]*`|\\]\\([^)]*\\)|<!--.*?-->")
	templateCode = regexp.MustCompile(`(?s)\{\{[^/}].*?\}\}|<[^!].*?>`)
	jsonName     = regexp.MustCompile(`(?m)^\s*"[^"]*":\s*`)
	listItem     = regexp.MustCompile(`^\s*(?:[-*] |\d+\. |\|)`)
)

// blank replaces code with a backquote, but keeps the line breaks.
func blank(code string) string { return "`" + strings.Repeat("\n", strings.Count(code, "\n")) }

// paragraphs splits Markdown at blank lines, and before list items and table rows.
func paragraphs(content string) []text {
	var found []text
	isNew := true
	for i, line := range strings.Split(content, "\n") {
		if isNew || listItem.MatchString(line) {
			found = append(found, text{line: i + 1})
		}
		found[len(found)-1].body += strings.TrimLeft(line, " -*|>") + "\n"
		isNew = strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#")
	}
	return found
}

// scriptTexts returns comments, with adjacent lines joined, and quoted strings.
func scriptTexts(content string) []text {
	var found []text
	inComment := false
	for i, line := range strings.Split(content, "\n") {
		isComment := wholeComment.MatchString(line)
		switch {
		case isComment && inComment:
			found[len(found)-1].body += "\n" + wholeComment.ReplaceAllString(line, "")
		case isComment:
			found = append(found, text{i + 1, wholeComment.ReplaceAllString(line, "")})
		default:
			for _, part := range quotedOrComment.FindAllString(line, -1) {
				found = append(found, text{i + 1, strings.Trim(part, "\"'# ")})
			}
		}
		inComment = isComment
	}
	return found
}

func lines(content string) []text {
	var found []text
	for i, line := range strings.Split(content, "\n") {
		found = append(found, text{i + 1, strings.TrimSpace(line)})
	}
	return found
}

func goTexts(name string, content []byte) ([]text, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, content, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var found []text
	for _, group := range file.Comments {
		found = append(found, text{files.Position(group.Pos()).Line, commentBody(group)})
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.CallExpr: // the pattern of a regular expression is no prose
			if f, ok := node.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "MustCompile" {
				return false
			}
		case *ast.Field:
			if node.Tag != nil {
				found = append(found, text{files.Position(node.Tag.Pos()).Line, docTag(node.Tag.Value)})
			}
			return node.Tag == nil || node.Names == nil
		case *ast.BasicLit:
			if node.Kind == token.STRING {
				found = append(found, text{files.Position(node.Pos()).Line, literal(node.Value)})
			}
		}
		return true
	})
	return found, nil
}

// commentBody returns the comment with its line breaks, which ast.CommentGroup.Text does not keep.
func commentBody(group *ast.CommentGroup) string {
	var body []string
	for _, comment := range group.List {
		body = append(body, strings.TrimSpace(strings.TrimLeft(comment.Text, "/*")))
	}
	return strings.Join(body, "\n")
}

func literal(quoted string) string {
	body, err := strconv.Unquote(quoted)
	if err != nil || quoted[0] == '`' {
		return body
	}
	return strings.ReplaceAll(body, "\n", " ")
}

func docTag(quoted string) string {
	tag, _ := strconv.Unquote(quoted)
	return reflect.StructTag(tag).Get("doc")
}
