package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// pinned are the files that pin libraries, and how a version is written there after a name.
var pinned = map[string][2]string{
	"envoy":  {"../envoy.txt", `(?m)^NAME-server==(\S+)`},
	"script": {"../matrix.sh", `NAME/v\d+@v(\S+)`},
	"python": {"python/requirements.txt", `(?m)^NAME==(\S+)`},
	"npm":    {"package.json", `"NAME": "([^"]+)"`},
	"maven":  {"pom.xml", `<artifactId>NAME</artifactId><version>([^<]+)`},
	"spring": {"spring/pom.xml", `<artifactId>NAME</artifactId><version>([^<]+)`},
	"go":     {"go/go.mod", `(?m)^\s*NAME v(\S+)`},
	"k8s":    {"k8s/go.mod", `(?m)^\s*NAME v(\S+)`},
	"cargo":  {"rust/Cargo.toml", `(?m)^NAME = \{ version = "=?([^"]+)`},
}

// versions returns the versions of what the pins name, such as "npm jose".
func versions(pins []string) string {
	var all []string
	for _, pin := range pins {
		kind, name, _ := strings.Cut(pin, " ")
		all = append(all, version(kind, name))
	}
	return strings.Join(all, ", ")
}

func version(kind, name string) string {
	if kind == "debian" {
		out, _ := exec.Command("dpkg-query", "-W", "-f=${Version}", name).Output() // empty: not installed
		upstream, _, _ := strings.Cut(string(out), "-")
		return upstream
	}
	text, err := os.ReadFile(filepath.Join("..", "tools", "clients", pinned[kind][0]))
	if err != nil {
		return ""
	}
	found := regexp.MustCompile(strings.Replace(pinned[kind][1], "NAME", regexp.QuoteMeta(name), 1)).FindSubmatch(text)
	if found == nil {
		return ""
	}
	return string(found[1])
}
