package main

import "time"

// results are all measurements of a run. Measurements that were not made are nil or zero.
type results struct {
	ladder   []rung
	issuing  *issuingResult
	verify   *verifyResult
	jwks     []servingResult
	exchange *exchangeResult
	notes    []string // parts that were not measured, with the reason
}

// rung contains the measurements for one number of keys.
type rung struct {
	keys     int
	cold     time.Duration // time of the server's start
	server   usage
	database int64 // bytes
	sides    []*sideResult
	changes  *changeResult
}

// sideResult contains the measurements of one side for one number of keys.
type sideResult struct {
	name      string
	ready     time.Duration
	warm      time.Duration // from the snapshot; 0: it has no snapshot
	one       loadResult    // over 1 connection
	eight     loadResult
	first     loadResult    // each token for the first time
	firstCPU  time.Duration // of all the side's processes, a request
	forged    []forgedResult
	memory    map[string]usage         // by process, after the load
	afterWarm map[string]usage         // after the start from the snapshot
	cpu       map[string]time.Duration // a request over 1 connection, by process
	issue     propagation
	revoke    propagation
}

// forgedResult is the cost of one kind of token that must be refused.
type forgedResult struct {
	kind string
	loadResult
	cpu time.Duration // of all the side's processes, a request
}

// propagation is how long it took after the server's answer until a side applied the change.
type propagation struct {
	took   []time.Duration // ascending
	missed int             // not within the limit
	limit  time.Duration
}

// side returns the results of the side with that name, or nil.
func (r rung) side(name string) *sideResult {
	for _, s := range r.sides {
		if s.name == name {
			return s
		}
	}
	return nil
}
