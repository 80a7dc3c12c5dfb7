package mint

import (
	"fmt"
	"time"

	"github.com/burnkey/burnkey/authz/turns"
)

// Asker identifies the requester of a key, for turns and for places in the queue.
type Asker = turns.Asker

// BusyError means that the queue is full, or has too many requests of the asker. It matches ErrBusy.
type BusyError struct {
	Asker
	Reason string // owner, caller or queue
	// RetryAfter estimates the time until the asker's turn, at least a second.
	RetryAfter time.Duration
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%v: try again in %v", ErrBusy, e.RetryAfter)
}

// Is lets errors.Is match ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }
