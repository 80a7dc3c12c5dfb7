package mint

import (
	"fmt"
	"time"

	"github.com/burnkey/burnkey/authz/turns"
)

// Asker identifies the requester of a key; turns and places in the queue are counted by it.
type Asker = turns.Asker

// BusyError means that a request was turned away, because the asker has too many in the queue
// or the queue is full. It matches ErrBusy.
type BusyError struct {
	Asker
	Reason string // owner, caller or queue
	// RetryAfter estimates the time until the asker's turn, a second or more.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%v: try again in %v", ErrBusy, e.RetryAfter)
}

// Is lets errors.Is match ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }
