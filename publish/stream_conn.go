package publish

import (
	"context"
	"net"
	"net/http"
)

type connKey struct{}

// StreamConn is for http.Server.ConnContext. It lets a Stream limit the kernel's send buffer, which can
// otherwise grow to megabytes for a slow reader.
func StreamConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

func boundBuffer(r *http.Request) {
	if conn, ok := r.Context().Value(connKey{}).(interface{ SetWriteBuffer(int) error }); ok {
		_ = conn.SetWriteBuffer(streamBuffer) // on a closed connection, the first write will fail
	}
}
