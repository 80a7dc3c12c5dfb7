package gatewaytest

import (
	"context"
	"errors"
	"sync"

	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

// memory is the store of an Origin: the log of each workspace, whose first change publishes the tombstone.
type memory struct {
	mu   sync.Mutex
	logs map[string][]jwks.Change
}

var _ store.PublishedStore = (*memory)(nil)

func (m *memory) log(workspace string) ([]jwks.Change, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	log, ok := m.logs[workspace]
	if !ok {
		return nil, store.ErrNotFound
	}
	return log, nil
}

// add completes a change with the next version and appends it to a log.
func (m *memory) add(workspace string, c jwks.Change) jwks.Change {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.Version = uint64(len(m.logs[workspace]) + 1)
	m.logs[workspace] = append(m.logs[workspace], c)
	return c
}

func (m *memory) drop(workspace string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.logs, workspace)
}

func (m *memory) workspaces() (ids []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.logs {
		ids = append(ids, id)
	}
	return ids
}

// Published implements store.PublishedStore by applying the log.
func (m *memory) Published(_ context.Context, workspace string, yield func(jwks.Key, jwks.Attributes) error) (
	version uint64, unsigned jwks.Unsigned, err error,
) {
	log, err := m.log(workspace)
	if err != nil {
		return 0, unsigned, err
	}
	imported := map[jwks.KID]jwks.ImportedKey{}
	keys, attributes, limits := map[jwks.KID]jwks.Key{}, map[jwks.KID]jwks.Attributes{}, map[[2]string]jwks.LimitSet{}
	for _, c := range log {
		for _, kid := range c.Remove {
			delete(keys, kid)
		}
		for _, key := range c.Add {
			keys[key.KID()] = key
			delete(attributes, key.KID())
		}
		for _, k := range c.Unsigned.Set {
			attributes[k.KID] = k.Attributes
		}
		for _, set := range c.Unsigned.Limits {
			limits[[2]string{set.On, set.Name}] = set
		}
		if c.Unsigned.Settings != nil {
			unsigned.Settings = c.Unsigned.Settings
		}
		for _, kid := range c.Unsigned.Dropped {
			delete(imported, kid)
		}
		for _, key := range c.Unsigned.Imported {
			imported[key.KID()] = key
		}
	}
	for kid, key := range keys {
		if err := yield(key, attributes[kid]); err != nil {
			return 0, unsigned, err
		}
	}
	for _, set := range limits {
		unsigned.Limits = append(unsigned.Limits, set)
	}
	for _, key := range imported {
		unsigned.Imported = append(unsigned.Imported, key)
	}
	return uint64(len(log)), unsigned, nil
}

// Tombstone implements store.PublishedStore.
func (m *memory) Tombstone(_ context.Context, workspace string) (jwks.Key, error) {
	log, err := m.log(workspace)
	if err != nil {
		return jwks.Key{}, err
	}
	return log[0].Add[0], nil
}

// Changes implements store.PublishedStore. The log no longer has its first change, like one that was compacted.
func (m *memory) Changes(_ context.Context, workspace string, after uint64, limit int) ([]jwks.Change, error) {
	log, err := m.log(workspace)
	switch {
	case err != nil || after >= uint64(len(log)):
		return nil, err
	case after == 0:
		return nil, store.ErrCompacted
	}
	return log[after:min(int(after)+limit, len(log))], nil
}

// Compact implements store.PublishedStore.
func (m *memory) Compact(context.Context, string, uint64) (bool, error) {
	return false, errors.New("not compacted in tests")
}

// Versions implements store.PublishedStore.
func (m *memory) Versions(_ context.Context, yield func(string, uint64, jwks.Fingerprint) error) error {
	for _, id := range m.workspaces() {
		log, err := m.log(id)
		if err != nil {
			continue
		}
		if err := yield(id, uint64(len(log)), jwks.Fingerprint{}); err != nil {
			return err
		}
	}
	return nil
}

// Watch implements store.PublishedStore.
func (m *memory) Watch(ctx context.Context, wake func(string)) error {
	wake("")
	<-ctx.Done()
	return ctx.Err()
}
