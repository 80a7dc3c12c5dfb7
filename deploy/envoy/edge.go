package envoy

// Edge is what the gateway does besides verifying keys. Bootstrap renders all of it; Filter renders the filters and the
// routes, and says in its comments what the listener needs. ESPv2 has none of it.
type Edge struct {
	// Routes have requirements or settings of their own. All other requests need a valid key.
	Routes []Route
	// Open are requests without a key: a path after an optional list of methods, such as "GET,POST /login". Without
	// methods, only GET is open. A path that ends in /* also matches everything below.
	Open []string
}

// checkEdge checks Edge; its error is a *FieldError.
func (c Config) checkEdge() error {
	_, err := c.allRoutes()
	return err
}

// hasEdge returns the flag of a part of Edge that is set.
func (c Config) edgeFlag() string {
	for _, f := range []struct {
		flag string
		set  bool
	}{
		{"routes", len(c.Routes) > 0},
		{"open", len(c.Open) > 0},
	} {
		if f.set {
			return f.flag
		}
	}
	return ""
}
