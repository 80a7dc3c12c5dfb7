package rows

import "github.com/burnkey/burnkey/store"

// SignerColumns are the columns of a signer.
const SignerColumns = `kid, usable_at, ends_at, remove_at`

// Signer returns the destinations of SignerColumns.
func Signer(s *store.Signer) []any {
	return []any{kid(&s.KID), Time(&s.UsableAt), Time(&s.EndsAt), Time(&s.RemoveAt)}
}

// Policy returns the destination of the column policy.
func Policy(p *store.Policy) any { return settings(p) }
