package reference

import (
	"bytes"
	_ "embed"
	"html/template"
	"regexp"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
)

// Policy is the Content Security Policy of the pages.
const Policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Style is the pages' style sheet.
//
//go:embed style.css
var Style []byte

//go:embed page.html
var layout string

var (
	page     = template.Must(template.New("page").Parse(layout))
	renderer = goldmark.New(goldmark.WithExtensions(extension.Table),
		goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithAttribute()))
	comment = regexp.MustCompile(`(?s)<!--.*?-->\n?`)
	title   = regexp.MustCompile(`(?m)^# (.+)$`)
	link    = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+\.md)(#[^)]*)?\)`)
)

// Page renders a page of docs/reference. The file is its path there, such as problems/index.md, and root is the
// relative address of /docs, such as "../docs". Links to pages that the server does not have become text.
func Page(file, markdown, root string) ([]byte, error) {
	markdown = comment.ReplaceAllString(markdown, "")
	heading := ""
	if found := title.FindStringSubmatch(markdown); found != nil {
		heading = found[1]
	}
	var body, whole bytes.Buffer
	if err := renderer.Convert([]byte(relink(file, markdown, root)), &body); err != nil {
		return nil, err
	}
	err := page.Execute(&whole, struct {
		Title, Root string
		Body        template.HTML
	}{heading, root, template.HTML(body.String())}) // rendered from our own pages, without raw HTML
	return whole.Bytes(), err
}

// relink changes links between files to links between the server's pages.
func relink(file, markdown, root string) string {
	within := strings.HasPrefix(file, "problems/")
	return link.ReplaceAllStringFunc(markdown, func(whole string) string {
		m := link.FindStringSubmatch(whole)
		text, target, fragment := m[1], m[2], m[3]
		if within && !strings.Contains(target, "/") {
			target = "problems/" + target
		}
		target = strings.TrimPrefix(target, "../")
		switch name, isProblem := strings.CutPrefix(target, "problems/"); {
		case target == "http.md" && within:
			return "[" + text + "](" + root + fragment + ")"
		case target == "refusals.md":
			return "[" + text + "](" + root + "/refusals" + fragment + ")"
		case isProblem && name == "index.md":
			return "[" + text + "](" + root + "/problems" + fragment + ")"
		case isProblem:
			return "[" + text + "](" + root + "/problems/" + strings.TrimSuffix(name, ".md") + fragment + ")"
		}
		return text
	})
}
