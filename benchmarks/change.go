package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// changeResult is the server's cost of one issue and of one revocation.
type changeResult struct {
	issue, revoke []time.Duration // ascending, as the client saw it
	issueBytes    int64           // passed to write calls, per change
	revokeBytes   int64
	issueDisk     int64 // written to disks, per change
	revokeDisk    int64
}

// change issues n keys through the server, one after the other, and revokes n keys spread evenly over the set.
func (b *bench) change(ctx context.Context, s *server, n int) (r *changeResult, err error) {
	b.say.step("%d keys: the cost of a change", n)
	r = &changeResult{}
	ids := spread(n, b.o.changes, forChange)
	measure := func(took *[]time.Duration, called, disk *int64, f func(i int) error) error {
		before, err := s.usage()
		if err != nil {
			return err
		}
		for i := range ids {
			began := time.Now()
			if err := f(i); err != nil {
				return err
			}
			*took = append(*took, time.Since(began))
		}
		slices.Sort(*took)
		after, err := s.usage()
		*called = (after.called - before.called) / int64(len(ids))
		*disk = (after.written - before.written) / int64(len(ids))
		return err
	}
	err = measure(&r.revoke, &r.revokeBytes, &r.revokeDisk, func(i int) error {
		return s.revoke(ctx, b.ring.id(ids[i]).String())
	})
	if err != nil {
		return nil, err
	}
	return r, measure(&r.issue, &r.issueBytes, &r.issueDisk, func(i int) error {
		_, err := s.issue(ctx, fmt.Sprint("change_", i))
		return err
	})
}
