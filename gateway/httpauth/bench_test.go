package httpauth

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// BenchmarkDoors compares, in one run, the time of a decision at each door, over a connection that is kept.
func BenchmarkDoors(b *testing.B) {
	d := open(b, nil)
	good := own().Bearer("acme")
	b.Run("gRPC", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(b, err)
		background(b, func(ctx context.Context) error { return d.grpc.Serve(ctx, l, time.Second) })
		conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		check(b, err)
		defer conn.Close()
		client := authv3.NewAuthorizationClient(conn)
		in := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
			Http: &authv3.AttributeContext_HttpRequest{Method: http.MethodGet, Headers: map[string]string{"authorization": good}},
		}}}
		for b.Loop() {
			answer, err := client.Check(b.Context(), in)
			if err != nil || answer.GetOkResponse() == nil {
				b.Fatalf("%v, %v", answer, err)
			}
		}
	})
	b.Run("HTTP", func(b *testing.B) {
		r, err := http.NewRequest(http.MethodGet, d.url+PathCheck, http.NoBody)
		check(b, err)
		r.Header.Set("Authorization", good)
		for b.Loop() {
			answer, err := plainHTTP.Do(r)
			check(b, err)
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK {
				b.Fatal(answer.StatusCode)
			}
		}
	})
}
