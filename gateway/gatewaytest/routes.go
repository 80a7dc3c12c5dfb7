package gatewaytest

// A Route has requirements, for a request with the token of Own().Bearer("acme").
type Route struct {
	Requirements map[string]string
	Status       int
	Challenge    string // a part of WWW-Authenticate
}

// Routes returns routes with valid and invalid requirements.
func Routes() []Route {
	type needs = map[string]string
	return []Route{
		{needs{}, 200, ""},
		{needs{"scopes": "maps:read"}, 200, ""},
		{needs{"scopes": " tiles:read  maps:read "}, 200, ""},
		{
			needs{"scopes": "maps:read maps:write"},
			403,
			`error="insufficient_scope", error_description="The token lacks a scope that is required here.", scope="maps:read maps:write"`,
		},
		{needs{"scopes": "maps"}, 403, "insufficient_scope"},
		{needs{"scopes": "MAPS:READ"}, 403, "insufficient_scope"},
		{needs{"scopes": "maps:read,tiles:read"}, 500, ""},
		{needs{"scopes": "maps:read, tiles:read"}, 500, ""},
		{needs{"audience": "x"}, 200, ""},
		{needs{"audience": "y x"}, 200, ""},
		{needs{"audience": "y"}, 401, "The token is for another audience."},
		{needs{"workspace": "acme"}, 200, ""},
		{needs{"workspace": "beta acme"}, 200, ""},
		{needs{"workspace": "beta"}, 401, `error="invalid_token", error_description="The token's workspace is not accepted here."`},
		{needs{"workspace": "acm"}, 401, "The token's workspace is not accepted here."},
		{needs{"workspace": "beta,acme"}, 500, ""},
		{needs{"audience": "y,x"}, 401, "The token is for another audience."},
		{needs{"workspace": "acme", "audience": "maps", "scopes": "maps:read"}, 200, ""},
		{needs{"workspace": "acme", "audience": "maps", "scopes": "admin"}, 403, "insufficient_scope"},
		{needs{"scope": "maps:read"}, 500, ""},
		{needs{"Scopes": "maps:read"}, 500, ""},
		{needs{"scopes": "maps:read", "audiences": "maps"}, 500, ""},
		{needs{"": "x"}, 500, ""},
		{needs{"scopes": ""}, 500, ""},
		{needs{"audience": " "}, 500, ""},
		{needs{"workspace": "\t"}, 500, ""},
	}
}
