package authz

import (
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/burnkey/burnkey/jwks"
)

// object checks a JSON object and returns it without white space; {} for an absent one.
func (e *InputError) object(field string, value []byte, most int) jsontext.Value {
	if len(value) == 0 {
		return jsontext.Value("{}")
	}
	v := jsontext.Value(value).Clone()
	if err := v.Compact(); err != nil || v.Kind() != '{' || !v.IsValid() {
		e.Add(field, RuleNotObject)
		return nil
	}
	if len(v) > most {
		e.Add(field, RuleTooLarge, "max", most)
		return nil
	}
	return v
}

// depth refuses JSON that is nested deeper than MaxDepth.
func (e *InputError) depth(field string, value []byte) {
	if _, deep := jwks.TooDeep(value, MaxDepth); deep {
		e.Add(field, RuleTooDeep, "max", MaxDepth)
	}
}

func (e *InputError) claims(value []byte) jsontext.Value {
	v := e.object("claims", value, MaxClaims)
	if v == nil {
		return nil
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(v, &members); err != nil {
		e.Add("claims", RuleNotObject)
		return nil
	}
	for name := range members {
		// Many JSON libraries ignore the case of members and use the last one. It must not override a
		// registered claim.
		if jwks.Reserved(strings.ToLower(strings.ToUpper(name))) {
			e.Add("claims."+name, RuleReservedClaim)
		}
	}
	return v
}
