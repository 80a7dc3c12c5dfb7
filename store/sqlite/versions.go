package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"github.com/burnkey/burnkey/jwks"
)

const (
	selectVersions = `SELECT id, version, fingerprint FROM workspaces`
	// selectDataVersion returns a number that changes when another connection, of this process or of another,
	// commits. Numbers of different connections cannot be compared.
	selectDataVersion = `PRAGMA data_version`
)

// versions keeps what Versions read last. A server asks every second, and usually nothing has changed.
type versions struct {
	mu   sync.Mutex
	conn *sql.Conn // nil before the first call, and after an error
	at   int64     // the connection's data version
	list []workspaceVersion
}

type workspaceVersion struct {
	workspace string
	version   uint64
	print     jwks.Fingerprint
}

// Versions implements store.Store. It occupies a reading connection for good.
func (s *Store) Versions(ctx context.Context, yield func(workspace string, version uint64, print jwks.Fingerprint) error) error {
	list, err := s.versions.read(ctx, s.reader)
	for i := range list {
		if err = yield(list[i].workspace, list[i].version, list[i].print); err != nil {
			break
		}
	}
	return wrap(ctx, "read versions", err)
}

// read returns the present versions. The list is never changed.
func (v *versions) read(ctx context.Context, db *sql.DB) ([]workspaceVersion, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.refresh(ctx, db); err != nil {
		v.drop()
		return nil, err
	}
	return v.list, nil
}

func (v *versions) refresh(ctx context.Context, db *sql.DB) (err error) {
	if v.conn == nil {
		v.list = nil
		if v.conn, err = db.Conn(ctx); err != nil {
			return err
		}
	}
	// The number is read before the list, which can then only be newer.
	var now int64
	if err := v.conn.QueryRowContext(ctx, selectDataVersion).Scan(&now); err != nil || now == v.at && v.list != nil {
		return err
	}
	list := make([]workspaceVersion, 0, len(v.list)+1)
	var one workspaceVersion
	var print []byte
	for err := range each(v.conn.QueryContext(ctx, selectVersions))([]any{&one.workspace, &one.version, &print}) {
		if err != nil {
			return err
		}
		one.print = jwks.Fingerprint(print)
		list = append(list, one)
	}
	v.at, v.list = now, list
	return nil
}

// drop releases the connection.
func (v *versions) drop() {
	if v.conn != nil {
		_ = v.conn.Close() // it returns to the pool
	}
	v.conn, v.list = nil, nil
}

func (v *versions) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.drop()
}
