package publish

import (
	"errors"
	"sync"
)

// Reasons why a Stream has no place for a reader, for errors.Is. All of them match ErrReaders.
var (
	ErrReaders        = errors.New("the stream has too many readers")
	ErrReadersSet     = readersError("this set's stream has too many readers")
	ErrReadersAddress = readersError("the stream has too many readers from this address")
)

type readersError string

func (e readersError) Error() string { return string(e) }

// Is lets errors.Is match ErrReaders.
func (e readersError) Is(target error) bool { return target == ErrReaders }

// StreamReader identifies a reader of a Stream.
type StreamReader struct {
	// Address is the address to whose limit the reader's place counts.
	Address string
	// Key, unless empty, entitles the reader to a reserved place if one is free. The reader keeps the place
	// while Holds returns true. Holds is called often.
	Key   string
	Holds func() bool
}

// StreamLimits bounds the concurrent readers of a Stream. There is a limit per set, address and key, so
// that none of them can take every place. Readers with a Key have separate places.
type StreamLimits struct {
	Public     int // readers without a Key
	PerSet     int // readers of one Index without a Key
	PerAddress int // readers from one address without a Key
	Reserved   int // readers with a Key
	PerKey     int // readers with the same Key
}

// DefaultStreamReaders is the number of places for readers without a Key in a Stream made by NewStream.
const DefaultStreamReaders = 10000

// StreamPlaces returns limits for the given number of readers without a Key (at least 10) and twice as many
// reserved places: a gateway can follow ten thousand sets.
func StreamPlaces(readers int) StreamLimits {
	return StreamLimits{
		Public: readers, PerSet: readers / 2, PerAddress: readers / 10, Reserved: 2 * readers, PerKey: readers,
	}
}

// seats counts the readers of a Stream by owner. It is safe for concurrent use.
type seats struct {
	mu    sync.Mutex
	taken map[any]int
}

// Kinds of owners of a limit. An Index is an owner too.
type (
	pool     string
	ofKey    string
	fromAddr string
)

const publicPool, reservedPool = pool("public"), pool("reserved")

// share is a limit for the readers of one owner.
type share struct {
	owner any
	most  int
	full  error
}

// take takes a place under all of these limits. If one is reached, it takes no place and returns its error.
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
	shares []share // taken at present
	keyed  bool
}

// enter takes a reserved place for a reader with a Key if one is free, and a public place otherwise.
func (p *seat) enter() error {
	l := p.stream.Limits
	if p.who.Key != "" && p.reserve() == nil {
		return nil
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

// reserve takes a reserved place for a reader with a Key.
func (p *seat) reserve() error {
	l := p.stream.Limits
	shares := []share{{ofKey(p.who.Key), l.PerKey, ErrReaders}, {reservedPool, l.Reserved, ErrReaders}}
	err := p.stream.seats.take(shares)
	if err == nil {
		p.shares, p.keyed = shares, true
	}
	return err
}

// keep exchanges the reserved place for a public place once the Key is no longer valid.
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
