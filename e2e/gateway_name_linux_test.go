package e2e_test

import (
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
)

// names is a DNS server, for which every name stands for the same IPv4 addresses.
type names struct {
	conn net.PacketConn

	mu        sync.Mutex
	addresses []string
}

func startNames(t testing.TB, addresses ...string) *names {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	n := &names{conn: conn, addresses: addresses}
	go n.serve()
	return n
}

func (n *names) set(addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.addresses = addresses
}

func (n *names) serve() {
	query := make([]byte, 512)
	for {
		size, peer, err := n.conn.ReadFrom(query)
		if err != nil {
			return
		}
		if answer := n.answer(query[:size]); answer != nil {
			_, _ = n.conn.WriteTo(answer, peer)
		}
	}
}

// answer returns the answer to a query with one question, in the form of RFC 1035.
func (n *names) answer(query []byte) []byte {
	const header = 12
	end := header
	for end < len(query) && query[end] != 0 {
		end += 1 + int(query[end])
	}
	if end += 5; end > len(query) { // the end of the name, type and class
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	answer := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[header:end]...)
	if binary.BigEndian.Uint16(query[end-4:]) != 1 { // only A records
		return answer
	}
	answer[7] = byte(len(n.addresses))
	for _, address := range n.addresses {
		answer = append(answer, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4) // the name, A, IN, for a second
		answer = append(answer, net.ParseIP(address).To4()...)
	}
	return answer
}

// resolver is the part of a cluster with which Envoy asks this server.
func (n *names) resolver() string {
	_, port, _ := net.SplitHostPort(n.conn.LocalAddr().String())
	return `
    typed_dns_resolver_config:
      name: envoy.network.dns_resolver.cares
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig
        resolvers: [{socket_address: {address: 127.0.0.1, protocol: UDP, port_value: ` + port + `}}]
        dns_resolver_options: {no_default_search_domain: true}`
}

// at makes a service listen on another address of this machine.
func (a *asked) at(address string) *asked {
	a.addr = address
	a.flags = append(a.flags, "--listen", address)
	return a
}

// startNamed runs Envoy with gateways at a name.
func startNamed(t *testing.T, n *names, port string) *gateway {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(api.Close)
	listen := envoytest.FreeAddr(t)
	config := run(t, "envoy", "config", "--mode", "gateway", "--gateway", "gateways.test:"+port, "--listen", listen,
		"--upstream", api.Listener.Addr().String(), "--admin", envoytest.FreeAddr(t)).ok(t).stdout
	const cluster = "  - name: burnkey_gateway"
	if strings.Count(config, cluster+"\n") != 1 {
		t.Fatalf("not one cluster of gateways:\n%s", config)
	}
	config = envoytest.Patient(config)
	return &gateway{url: "http://" + listen, Envoy: envoytest.Start(t, strings.Replace(config, cluster, cluster+n.resolver(), 1))}
}

// TestE2EGatewaysBehindOneName replaces both gateways of a name, one after the other, by one at another address, as a
// rollout in Kubernetes does. No request may fail.
func TestE2EGatewaysBehindOneName(t *testing.T) {
	t.Parallel()
	envoytest.Binary(t)
	s := startServer(t)
	s.admin().mustCreate(t, "acme")
	key := s.admin().mustIssue(t, "acme")
	_, port, err := net.SplitHostPort(envoytest.FreeAddr(t))
	check(t, err)
	start := func(ip string) *asked {
		a := newAsked(t, s.url, "--workspace", "acme").at(net.JoinHostPort(ip, port))
		a.start()
		a.ready()
		return a
	}
	first, second := start("127.0.0.1"), start("127.0.0.2")
	n := startNames(t, "127.0.0.1", "127.0.0.2")
	g := startNamed(t, n, port)
	g.accepts(t, key)

	var sent, failed atomic.Int64
	stop := make(chan struct{})
	var clients sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); clients.Wait() })
	defer end()
	for range 2 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				sent.Add(1)
				if g.get(t, key.Token) != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	serves := func(a *asked) {
		before := a.decisions()
		eventually(t, a.addr+" gets requests", func() bool { return a.decisions() > before+10 })
	}
	serves(first)
	serves(second)
	first.stop() // its address stays in the answers for a while, as it does in Kubernetes
	serves(second)
	third := start("127.0.0.3")
	n.set("127.0.0.2", "127.0.0.3")
	serves(third)
	// Envoy repeats a call once, so the next may end only when Envoy has noticed the end of the first.
	eventually(t, "two gateways are healthy, and known", func() bool {
		return g.Stats(t, "cluster.burnkey_gateway.membership_healthy") == 2 && g.Stats(t, "cluster.burnkey_gateway.membership_total") == 2
	})
	serves(third) // by then Envoy's worker knows it, too: the counts are those of another thread
	second.stop()
	serves(third)
	end()
	t.Logf("%d requests, %d failed", sent.Load(), failed.Load())
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), sent.Load())
	}
}
