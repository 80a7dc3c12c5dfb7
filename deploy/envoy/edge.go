package envoy

import "cmp"

// Edge is what the gateway does besides verifying keys. Bootstrap renders all of it; Filter renders the filters and the
// routes, and says in its comments what the listener needs. ESPv2 has none of it.
type Edge struct {
	// Routes have requirements or settings of their own. All other requests need a valid key.
	Routes []Route
	// Open are requests without a key: a path after an optional list of methods, such as "GET,POST /login". Without
	// methods, only GET is open. A path that ends in /* also matches everything below.
	Open []string

	// Origins are those of the pages that browsers let call the API (CORS): exact ones, or AnyOrigin alone. Cookies are never
	// allowed, since a key is sent explicitly. OriginHeaders are request headers that such pages may send, besides the usual ones.
	Origins, OriginHeaders []string
}

// checkEdge checks Edge; its error is a *FieldError.
func (c Config) checkEdge() error {
	_, err := c.allRoutes()
	return cmp.Or(err, c.checkCORS())
}

// edgeFlag returns the flag of a part of Edge that is set.
func (c Config) edgeFlag() string {
	for _, f := range []struct {
		flag string
		set  bool
	}{
		{"routes", len(c.Routes) > 0},
		{"open", len(c.Open) > 0},
		{"cors-origin", len(c.Origins) > 0},
	} {
		if f.set {
			return f.flag
		}
	}
	return ""
}
