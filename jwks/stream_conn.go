package jwks

import (
	"context"
	"net"
	"net/http"
)

type connKey struct{}

// StreamConn is for http.Server.ConnContext: with it a Stream bounds what the kernel
// keeps for a reader that does not read, which else may be megabytes.
func StreamConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

func boundBuffer(r *http.Request) {
	if conn, ok := r.Context().Value(connKey{}).(interface{ SetWriteBuffer(int) error }); ok {
		_ = conn.SetWriteBuffer(streamBuffer) // the connection may be gone, as the first write will find
	}
}
