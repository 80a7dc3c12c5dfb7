package envoy

import "path"

// peer is a server to which Envoy connects by TLS.
type peer struct {
	Name   string // of its certificate
	IP     bool   // Name is an IP address
	CAFile string
}

// checkTLS checks the files and names of the listener's and the API's TLS.
func (c Config) checkTLS() error {
	for _, f := range []struct{ flag, file string }{{"tls-cert", c.TLSCert}, {"tls-key", c.TLSKey}, {"upstream-ca", c.UpstreamCA}} {
		if f.file != "" && !path.IsAbs(f.file) {
			return fieldError(f.flag, "must be an absolute path, not %q", f.file)
		}
	}
	switch {
	case c.TLSCert != "" && c.TLSKey == "":
		return fieldError("tls-key", "is required with --tls-cert")
	case c.TLSKey != "" && c.TLSCert == "":
		return fieldError("tls-cert", "is required with --tls-key")
	case c.UpstreamCA != "" && !c.UpstreamTLS:
		return fieldError("upstream-ca", "is for --upstream-tls")
	case c.UpstreamName != "" && !c.UpstreamTLS:
		return fieldError("upstream-name", "is for --upstream-tls")
	case c.UpstreamName != "" && (len(c.UpstreamName) > 253 || !hostName.MatchString(c.UpstreamName)):
		return fieldError("upstream-name", "must be a host name, not %q", c.UpstreamName)
	}
	return nil
}

// SpeaksHTTP2 reports whether Envoy connects to the API by HTTP/2.
func (v *view) SpeaksHTTP2() bool { return v.UpstreamHTTP2 || v.GRPC }

// ServerPeer is the server of the key sets, and UpstreamPeer the API.
func (v *view) ServerPeer() peer { return peer{v.Server.Host, v.Server.IP, v.CAFile} }

func (v *view) UpstreamPeer() peer {
	p := peer{v.Upstream.Host, v.Upstream.IP, v.UpstreamCA}
	if v.UpstreamName != "" {
		p.Name, p.IP = v.UpstreamName, false
	}
	if p.CAFile == "" {
		p.CAFile = DefaultCAFile
	}
	return p
}
