//go:build !linux

package postgres

import (
	"net"
	"syscall"
)

// setUnackedTimeout does nothing here: TCP keepalive detects a lost host, but more slowly.
func setUnackedTimeout(string, string, syscall.RawConn) error { return nil }

// readable returns false: a lost connection is detected when it is used.
func readable(net.Conn) bool { return false }
