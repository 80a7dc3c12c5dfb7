// Package reference holds the pages of the reference that the server shows.
package reference

import "embed"

// Pages has http.md, refusals.md and the pages of problems.
//
//go:embed http.md refusals.md problems/*.md
var Pages embed.FS
