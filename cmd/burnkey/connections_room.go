package main

// seenForRoom is how many connections are examined when one has to be closed.
const seenForRoom = 64

// enter takes a place, perhaps from another connection, which it returns to be closed.
func (c *connections) enter(p *place) (gone *place, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	full := p.address != "" && c.by[p.address] >= c.perAddress
	if full || len(c.open) >= c.most {
		if gone = c.yielding(p.address, full); gone == nil {
			return nil, false
		}
		c.remove(gone)
	}
	c.open[p] = struct{}{}
	c.by[p.address]++
	return gone, true
}

// yielding returns a connection to close for a new one of an address; with own, only one of that address. It examines a
// sample, which probably contains connections of the address that has the most.
func (c *connections) yielding(address string, own bool) *place {
	var gone *place
	looked := 0
	for p := range c.open {
		if looked++; looked > seenForRoom {
			break
		}
		if own && p.address != address {
			continue
		}
		if gone == nil || c.yieldsBefore(p, gone) {
			gone = p
		}
	}
	if gone != nil && gone.busy.Load() && (own || c.weight(gone.address) <= c.weight(address)+1) {
		return nil
	}
	return gone
}

func (c *connections) yieldsBefore(p, other *place) bool {
	if busy := p.busy.Load(); busy != other.busy.Load() {
		return !busy
	}
	return c.weight(p.address) > c.weight(other.address)
}

// weight returns the number of an address's connections; 0 for a trusted proxy, which stands for many clients.
func (c *connections) weight(address string) int {
	if address == "" {
		return 0
	}
	return c.by[address]
}

func (p *place) leave() {
	p.of.mu.Lock()
	defer p.of.mu.Unlock()
	p.of.remove(p)
}

// remove gives a place back. Further calls do nothing.
func (c *connections) remove(p *place) {
	if _, ok := c.open[p]; !ok {
		return
	}
	delete(c.open, p)
	if c.by[p.address]--; c.by[p.address] == 0 {
		delete(c.by, p.address)
	}
}
