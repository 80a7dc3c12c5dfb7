package pgtest

import (
	"errors"
	"syscall"
)

// attributes fails: the signals that end a server orderly are not there.
func attributes() (*syscall.SysProcAttr, error) {
	return nil, errors.New("not on Windows")
}

func (s *Server) give(string) error { return nil }
