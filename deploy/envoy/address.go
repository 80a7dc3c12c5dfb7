package envoy

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// address is a parsed HOST:PORT.
type address struct {
	Host string
	Port uint16
	IP   bool
	// Any6 marks the unspecified IPv6 address, which also serves IPv4.
	Any6 bool
}

func (a address) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }

func parseAddress(flag, s string, ipOnly bool) (address, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return address{}, fieldError(flag, "must be HOST:PORT, not %q", s)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return address{}, fieldError(flag, "must have a port from 1 to 65535, not %q", port)
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		return address{Host: ip.String(), Port: uint16(n), IP: true, Any6: ip == netip.IPv6Unspecified()}, nil
	}
	if ipOnly {
		return address{}, fieldError(flag, "must have an IP address before the port (0.0.0.0 for all), not %q", host)
	}
	if len(host) > 253 || !hostName.MatchString(host) {
		return address{}, fieldError(flag, "must have a host name or an IP address before the port, not %q", host)
	}
	return address{Host: host, Port: uint16(n)}, nil
}

// endpoints are alternative addresses; each request uses one of them.
type endpoints struct {
	All []address
	IP  bool // all are IP addresses
}

func (e endpoints) String() string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(e.All), " ", ", "), "[]")
}

func parseGateways(list []string) (endpoints, error) {
	if len(list) > MaxGateways {
		return endpoints{}, fieldError("gateway", "may be given at most %d times, not %d", MaxGateways, len(list))
	}
	all := endpoints{IP: true}
	for _, text := range list {
		a, err := parseAddress("gateway", text, false)
		if err != nil {
			return endpoints{}, err
		}
		if slices.Contains(all.All, a) {
			return endpoints{}, fieldError("gateway", "%q is given twice", text)
		}
		all.All, all.IP = append(all.All, a), all.IP && a.IP
	}
	return all, nil
}

// baseURL parses a URL, and accepts it only if it can be the prefix of an issuer unchanged.
func baseURL(flag, s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.String() != s {
		return nil, fieldError(flag, "must be an http or https URL without user, query or fragment, not %q", s)
	}
	return u, nil
}

func serverAddress(s string) (addr address, tls bool, err error) { return urlAddress("server", s) }

// urlAddress returns the address of a URL, and whether it is reached by TLS.
func urlAddress(flag, s string) (addr address, tls bool, err error) {
	u, err := baseURL(flag, s)
	if err != nil {
		return address{}, false, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	addr, err = parseAddress(flag, net.JoinHostPort(u.Hostname(), port), false)
	return addr, u.Scheme == "https", err
}
