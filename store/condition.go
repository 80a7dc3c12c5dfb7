package store

import "time"

// Condition is the state of a database, as a backend's Inspect reports it without changing anything.
type Condition struct {
	// Schema is the version of the schema in the database, 0 if it has none. Known is the version that this
	// program needs.
	Schema, Known int64
	// Needs is the lowest schema version that a program must know to use the database; 0 if Schema is too old to record it.
	Needs int64
	// Moved is true if Settle would return ErrMoved.
	Moved bool
	// MissingIndexes are the indexes of the schema that are missing or unusable. They are only looked for if
	// Schema equals Known.
	MissingIndexes []string
	// Ahead is how far the database's clock is ahead of this machine's; 0 for a file.
	Ahead time.Duration

	Standby    bool     // the server accepts no writes
	Pooled     bool     // a pooler does not keep sessions
	LaxCommits bool     // by default, commits do not wait for the disk; Burnkey's own do
	Unsafe     []string // settings with which a power failure can lose or damage commits
	Plaintext  []string // remote hosts to which a connection without TLS is possible
}
