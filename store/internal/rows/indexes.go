package rows

import (
	"io/fs"
	"regexp"
	"slices"
)

var createIndex = regexp.MustCompile(`(?m)^CREATE (?:UNIQUE )?INDEX (\w+)`)

// MissingIndexes returns the indexes that migrations create, and the further ones, without those that exist.
func MissingIndexes(migrations fs.FS, existing []string, further ...string) (missing []string, err error) {
	files, err := fs.Glob(migrations, "*.sql")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := fs.ReadFile(migrations, file)
		if err != nil {
			return nil, err
		}
		for _, found := range createIndex.FindAllSubmatch(text, -1) {
			further = append(further, string(found[1]))
		}
	}
	slices.Sort(further)
	return slices.DeleteFunc(slices.Compact(further), func(name string) bool { return slices.Contains(existing, name) }), nil
}
