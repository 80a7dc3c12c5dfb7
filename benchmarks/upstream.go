package main

import (
	"bufio"
	"net"
)

// startUpstream starts the API behind Envoy. It answers each request with the same few bytes, and reads requests only to
// find their ends. Its connections end with Envoy.
func startUpstream() (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	return listener, nil
}

func answer(c net.Conn) {
	defer func() { _ = c.Close() }()
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n")
	r := bufio.NewReaderSize(c, 32<<10)
	for {
		line, err := r.ReadSlice('\n')
		if err == nil && len(line) <= 2 {
			_, err = c.Write(answer)
		}
		if err != nil {
			return
		}
	}
}
