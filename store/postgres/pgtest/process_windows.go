package pgtest

import (
	"errors"
	"syscall"
)

// attributes fails, because Windows has no signals for an orderly shutdown.
func attributes() (*syscall.SysProcAttr, error) {
	return nil, errors.New("not on Windows")
}

func (s *Server) give(string) error { return nil }
