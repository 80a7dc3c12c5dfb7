// Package reference holds the pages of the reference that the server shows.
package reference

import "embed"

// Pages has http.md and the pages of problems.
//
//go:embed http.md problems/*.md
var Pages embed.FS
