//go:build !linux

package postgres

import (
	"net"
	"syscall"
)

// setUnackedTimeout does nothing: keepalive notices a lost host, if more slowly.
func setUnackedTimeout(string, string, syscall.RawConn) error { return nil }

// readable says no: a lost connection is noticed when it is used.
func readable(net.Conn) bool { return false }
