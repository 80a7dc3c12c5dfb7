package jwks

import (
	"errors"
	"sync"
)

// Why a Stream has no place for a reader, for errors.Is. All of them are ErrReaders.
var (
	ErrReaders        = errors.New("the stream has too many readers")
	ErrReadersSet     = readersError("this set's stream has too many readers")
	ErrReadersAddress = readersError("the stream has too many readers from this address")
)

type readersError string

func (e readersError) Error() string { return string(e) }

// Is makes errors.Is(err, ErrReaders) hold.
func (e readersError) Is(target error) bool { return target == ErrReaders }

// StreamReader is who asks for a Stream.
type StreamReader struct {
	// Address is what the reader's place counts to.
	Address string
	// Key, unless it is empty, is whose reserved place the reader takes if one is free,
	// for as long as Holds returns true. Holds is called often.
	Key   string
	Holds func() bool
}

// StreamLimits are how many may read a Stream at one time: each is of an owner, so that
// nobody takes the places of all others. Those with a Key have places of their own.
type StreamLimits struct {
	Public     int // of all without a Key
	PerSet     int // of them, who read one Index
	PerAddress int // of them, from one address
	Reserved   int // of all with a Key
	PerKey     int // of them, with one Key
}

// DefaultStreamReaders is how many places NewStream has for those without a Key.
const DefaultStreamReaders = 10000

// StreamPlaces divides places for so many readers without a Key, at least 10, and
// reserves twice as many: a gateway may follow ten thousand sets.
func StreamPlaces(readers int) StreamLimits {
	return StreamLimits{
		Public: readers, PerSet: readers / 2, PerAddress: readers / 10, Reserved: 2 * readers, PerKey: readers,
	}
}

// seats counts the readers of a Stream by what their places count to. It is safe for
// concurrent use.
type seats struct {
	mu    sync.Mutex
	taken map[any]int
}

// Owners of a place besides an Index.
type (
	pool     string
	ofKey    string
	fromAddr string
)

const publicPool, reservedPool = pool("public"), pool("reserved")

// share is one of what a place counts to, and the most that this may have.
type share struct {
	owner any
	most  int
	full  error
}

// take takes a place of all its owners, or of none and returns the error of the first
// that has no more.
func (p *seats) take(shares []share) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range shares {
		if p.taken[s.owner] >= s.most {
			return s.full
		}
	}
	if p.taken == nil {
		p.taken = make(map[any]int)
	}
	for _, s := range shares {
		p.taken[s.owner]++
	}
	return nil
}

func (p *seats) leave(shares []share) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range shares {
		if p.taken[s.owner]--; p.taken[s.owner] == 0 {
			delete(p.taken, s.owner)
		}
	}
}

func (p *seats) of(owner any) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken[owner]
}

// seat is a reader's place.
type seat struct {
	stream *Stream
	who    StreamReader
	index  *Index
	shares []share // that are taken
	keyed  bool
}

// enter takes a reserved place for a reader with a Key that holds, else a public one.
func (p *seat) enter() error {
	l := p.stream.Limits
	if p.who.Key != "" {
		shares := []share{{ofKey(p.who.Key), l.PerKey, ErrReaders}, {reservedPool, l.Reserved, ErrReaders}}
		if p.stream.seats.take(shares) == nil {
			p.shares, p.keyed = shares, true
			return nil
		}
	}
	shares := []share{
		{fromAddr(p.who.Address), l.PerAddress, ErrReadersAddress}, {p.index, l.PerSet, ErrReadersSet}, {publicPool, l.Public, ErrReaders},
	}
	err := p.stream.seats.take(shares)
	if err == nil {
		p.shares = shares
	}
	return err
}

// keep gives the reserved place back once the Key no longer holds, and takes a public
// one instead.
func (p *seat) keep() error {
	if !p.keyed || p.who.Holds == nil || p.who.Holds() {
		return nil
	}
	p.leave()
	p.who.Key = ""
	return p.enter()
}

func (p *seat) leave() {
	p.stream.seats.leave(p.shares)
	p.shares, p.keyed = nil, false
}
