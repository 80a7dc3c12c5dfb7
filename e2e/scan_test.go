package e2e_test

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math/big"
	"math/bits"
	"slices"
)

const (
	primeLen = 128 // bytes of a prime of a 2,048-bit modulus

	// fewest is the minimum number of different byte values in a window to examine. 128 random bytes have about
	// 101, and fewer than 64 less often than once in 10^21. Most of a process's memory has fewer: code,
	// strings, pointers and zeros.
	fewest = 64
)

// scanner searches bytes for the primes of issued moduli, at every offset and in every byte order in which a
// 1,024-bit number may be stored.
type scanner struct {
	product *big.Int // of the moduli
	orders  []order
	seed    maphash.Seed
	seen    map[uint64]struct{} // windows that were looked at, as numbers

	windows    int // that there were, orders apart
	candidates int // that were divided into the product
	batch      []*big.Int
	atOnce     int // in a batch: about as long as the product
	found      []*big.Int
}

// order is a byte order of a 128-byte number: at[i] is the position of the i-th most significant byte.
type order struct {
	name string
	at   [primeLen]int
}

// orders returns big-endian and little-endian, and both orders of words whose bytes are in the opposite order.
// Little-endian also covers the words of a big.Int.
func orders() []order {
	place := func(name string, at func(i int) int) order {
		o := order{name: name}
		for i := range o.at {
			o.at[i] = at(i)
		}
		return o
	}
	all := []order{
		place("big-endian", func(i int) int { return i }),
		place("little-endian", func(i int) int { return primeLen - 1 - i }),
	}
	for _, word := range []int{8, 4} {
		swapped := func(i int) int { return i/word*word + word - 1 - i%word }
		all = append(all,
			place("big-endian words of little-endian bytes", swapped),
			place("little-endian words of big-endian bytes", func(i int) int { return primeLen - 1 - swapped(i) }))
	}
	return all
}

func newScanner(moduli []*big.Int) *scanner {
	return &scanner{
		product: product(moduli), orders: orders(), atOnce: max(8, len(moduli)),
		seed: maphash.MakeSeed(), seen: make(map[uint64]struct{}),
	}
}

// scan examines every window of data. It skips the inside of zero pages.
func (s *scanner) scan(data []byte) {
	const page = 4 << 10
	from := 0
	for at := 0; at+page <= len(data); {
		end := at
		for end+page <= len(data) && bytes.Equal(data[end:end+page], zeros[:]) {
			end += page
		}
		if end == at {
			at += page
			continue
		}
		s.slide(data[from : at+primeLen-1])
		from = end - primeLen + 1
		s.windows += from - at // begin and end in zeros
		at = end
	}
	s.slide(data[from:])
}

var zeros [4 << 10]byte

func (s *scanner) slide(data []byte) {
	var count [256]int // of each byte in the window
	different := 0
	for i, b := range data {
		if count[b]++; count[b] == 1 {
			different++
		}
		if i < primeLen-1 {
			continue
		}
		window := data[i-primeLen+1 : i+1]
		s.windows++
		if different >= fewest {
			for o := range s.orders {
				s.look(window, &s.orders[o])
			}
		}
		if count[window[0]]--; count[window[0]] == 0 {
			different--
		}
	}
}

// look examines a window. It skips numbers that cannot be Go's RSA primes, which are odd and have their two
// highest bits set.
func (s *scanner) look(window []byte, o *order) {
	if window[o.at[0]] < 0xc0 || window[o.at[primeLen-1]]&1 == 0 {
		return
	}
	var number [primeLen]byte
	for i, place := range o.at {
		number[i] = window[place]
	}
	if divisible(&number) {
		return
	}
	sum := maphash.Bytes(s.seed, number[:])
	if _, ok := s.seen[sum]; ok {
		return
	}
	s.seen[sum] = struct{}{}
	s.candidates++
	s.batch = append(s.batch, new(big.Int).SetBytes(number[:]))
	if len(s.batch) >= s.atOnce {
		s.divide()
	}
}

// small lists products of small primes; each product fits into a word.
var small = [...]struct {
	product uint64
	primes  []uint64
}{
	{16294579238595022365, []uint64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53}},
	{7145393598349078859, []uint64{59, 61, 67, 71, 73, 79, 83, 89, 97, 101}},
}

// divisible reports whether a small prime divides the number. If so, the number is not prime.
func divisible(number *[primeLen]byte) bool {
	for _, group := range small {
		var rem uint64
		for i := 0; i < primeLen; i += 8 {
			_, rem = bits.Div64(rem, binary.BigEndian.Uint64(number[i:]), group.product)
		}
		if slices.ContainsFunc(group.primes, func(p uint64) bool { return rem%p == 0 }) {
			return true
		}
	}
	return false
}

// divide tries each number of the batch as a divisor of the moduli.
func (s *scanner) divide() {
	s.remainders(s.product, s.batch)
	s.batch = s.batch[:0]
}

// remainders records the numbers that divide n. It first tries the product of all numbers, then the products of
// halves, which is faster than trying each number.
func (s *scanner) remainders(n *big.Int, numbers []*big.Int) {
	if len(numbers) == 0 {
		return
	}
	left := new(big.Int).Rem(n, product(numbers))
	if len(numbers) == 1 {
		if left.Sign() == 0 {
			s.found = append(s.found, numbers[0])
		}
		return
	}
	half := len(numbers) / 2
	s.remainders(left, numbers[:half])
	s.remainders(left, numbers[half:])
}

// primes returns the primes that the scan has found.
func (s *scanner) primes() []*big.Int {
	s.divide()
	return s.found
}

func product(numbers []*big.Int) *big.Int {
	switch len(numbers) {
	case 0:
		return big.NewInt(1)
	case 1:
		return numbers[0]
	}
	half := len(numbers) / 2
	return new(big.Int).Mul(product(numbers[:half]), product(numbers[half:]))
}
