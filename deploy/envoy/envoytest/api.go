package envoytest

import (
	"crypto/sha1" // as RFC 6455 demands
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// API returns an API whose answers take time: /slow never answers, /events?seconds=N sends an event each 200 ms until then,
// /silent sends one event and no other, and /ws greets by WebSocket. All other paths answer with the length of the body.
func API() http.Handler {
	api := http.NewServeMux()
	api.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	api.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		seconds, _ := strconv.ParseFloat(r.FormValue("seconds"), 64)
		end := time.After(time.Duration(seconds * float64(time.Second)))
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for n := 1; ; n++ {
			event(w, strconv.Itoa(n))
			select {
			case <-tick.C:
			case <-end:
				event(w, "end")
				return
			case <-r.Context().Done():
				return
			}
		}
	})
	api.HandleFunc("/silent", func(w http.ResponseWriter, r *http.Request) {
		event(w, "1")
		<-r.Context().Done()
	})
	api.HandleFunc("/ws", greet)
	api.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Protocol", r.Proto)
		if r.TLS != nil {
			w.Header().Set("X-Server-Name", r.TLS.ServerName)
		}
		fmt.Fprint(w, n)
	})
	return api
}

func event(w http.ResponseWriter, data string) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "data: %s\n\n", data)
	_ = http.NewResponseController(w).Flush()
}

// greet accepts a WebSocket (RFC 6455), sends one text and closes.
func greet(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" {
		http.Error(w, "an upgrade is required", http.StatusUpgradeRequired)
		return
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	_, _ = conn.Write([]byte("\x81\x05hello\x88\x00"))
}
