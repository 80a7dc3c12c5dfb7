package jwks

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A stream that ends says nothing about the cause, so the answer that follows is logged as well.
func TestFailureIsLogged(t *testing.T) {
	cut := errors.New("EOF")
	refused := fmt.Errorf("refused: %w", &statusError{code: 401})
	synctest.Test(t, func(t *testing.T) {
		var f failure
		for i, step := range []struct {
			after      time.Duration
			err        error
			log, ended bool
		}{
			{0, nil, false, false},
			{0, cut, true, false},
			{time.Second, cut, false, false},
			{0, refused, true, false},
			{time.Second, cut, false, false},
			{57 * time.Second, refused, false, false},
			{time.Second, cut, true, false},
			{time.Second, refused, true, false},
			{time.Second, nil, false, true},
			{0, nil, false, false},
			{0, cut, true, false},
		} {
			<-time.After(step.after) // of the bubble's clock
			if log, ended := f.note(step.err); log != step.log || ended != step.ended {
				t.Errorf("step %d: log %t, ended %t", i, log, ended)
			}
		}
	})
}
