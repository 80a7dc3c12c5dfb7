package rows

import (
	"github.com/burnkey/burnkey/jwks"
)

// SelectShared selects the sets of limits that are published, for Shared.
const SelectShared = `SELECT subject, name, limits FROM limit_sets WHERE workspace = $1 AND limits <> '[]' ORDER BY subject, name`

// Shared returns the destinations of SelectShared.
func Shared(s *jwks.LimitSet) []any {
	return []any{&s.On, &s.Name, rules(&s.Limits)}
}

func rules(limits *[]jwks.Limit) Column {
	return func(value any) error {
		if err := object(limits, "a list of rules")(value); err != nil {
			return err
		}
		return jwks.CheckLimits(*limits)
	}
}
