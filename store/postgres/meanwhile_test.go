package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/burnkey/burnkey/internal/testkit"
	"github.com/burnkey/burnkey/store"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
	"github.com/burnkey/burnkey/store/storetest"
)

// TestChangesDuringTheWaitForTheLockAreSeen: a call has read a key and waits for the workspace's lock, while
// another call changes the key.
func TestChangesDuringTheWaitForTheLockAreSeen(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "acme")
	const (
		rotate = `UPDATE keys SET rotated_to = gen_random_uuid(), grace_ends_at = expires_at WHERE id = $1`
		undo   = `UPDATE keys SET rotated_to = NULL, grace_ends_at = NULL WHERE id = $1`
		expire = `WITH gone AS (UPDATE keys SET expired_version = version WHERE id = $1 RETURNING kid)
			DELETE FROM jwks USING gone WHERE jwks.kid = gone.kid`
		suspend = `WITH suspended AS (UPDATE keys SET suspended_at = 1 WHERE id = $1 RETURNING kid),
				moved AS (DELETE FROM jwks USING suspended WHERE jwks.kid = suspended.kid RETURNING workspace, jwks.kid, n)
			INSERT INTO suspended_jwks SELECT * FROM moved`
		resume = `WITH resumed AS (UPDATE keys SET suspended_at = NULL WHERE id = $1 RETURNING kid),
				moved AS (DELETE FROM suspended_jwks AS s USING resumed WHERE s.kid = resumed.kid RETURNING workspace, s.kid, n)
			INSERT INTO jwks SELECT * FROM moved`
		prolong = `UPDATE keys SET expires_at = expires_at + 3600000000 WHERE id = $1`
		fence   = `UPDATE keys SET allowed_ips = '["10.0.0.0/8"]' WHERE id = $1`
		bound   = `UPDATE keys SET ceiling = '{"scopes":[]}' WHERE id = $1`
		narrow  = `UPDATE keys SET scopes = '{maps:read}' WHERE id = $1`
	)
	at := storetest.NewRecord("", "").CreatedAt
	next := func(k store.Key) (store.Key, store.Key, error) {
		return s.Rotate(t.Context(), "acme", k.ID, storetest.NewRecord("acme", "o"), storetest.NewKey(t), at.Add(time.Minute), nil)
	}
	beside, _, err := next(issue(t, s, "acme")) // is retired with another, which is changed
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		rotated   bool // before
		suspended bool // before
		meanwhile string
		ofNext    bool // the successor is changed
		call      func(k store.Key) (store.Key, error)
		want      error
		check     func(k store.Key) bool
	}{
		{
			name: "Rotate of a key that is rotated", meanwhile: rotate, want: store.ErrNotActive,
			call: func(k store.Key) (store.Key, error) { old, _, err := next(k); return old, err },
		},
		{
			name: "UndoRotation whose successor is rotated", rotated: true, meanwhile: rotate, ofNext: true, want: store.ErrNotActive,
			call: func(k store.Key) (store.Key, error) {
				old, _, err := s.UndoRotation(t.Context(), "acme", k.ID, uuid.Nil, at)
				return old, err
			},
		},
		{
			name: "UndoRotation of what is undone", rotated: true, meanwhile: undo, want: store.ErrNotActive,
			call: func(k store.Key) (store.Key, error) {
				old, _, err := s.UndoRotation(t.Context(), "acme", k.ID, uuid.Nil, at)
				return old, err
			},
		},
		{
			name: "EndGrace of what is undone", rotated: true, meanwhile: undo, want: store.ErrNotActive,
			call: func(k store.Key) (store.Key, error) { return s.EndGrace(t.Context(), "acme", k.ID, uuid.Nil, at) },
		},
		{
			name: "EndGrace of what is rotated to another", rotated: true, meanwhile: rotate, want: store.ErrNotActive,
			call: func(k store.Key) (store.Key, error) { return s.EndGrace(t.Context(), "acme", k.ID, k.RotatedTo, at) },
		},
		{
			name: "Retire of what is undone", rotated: true, meanwhile: undo,
			call: func(k store.Key) (store.Key, error) {
				retired, err := s.Retire(t.Context(), "acme", []uuid.UUID{k.ID, beside.ID}, at.Add(time.Minute))
				if len(retired) != 1 || retired[0].ID != beside.ID {
					t.Errorf("retired are %+v", retired)
				}
				if err != nil {
					return store.Key{}, err
				}
				return s.Key(t.Context(), "acme", k.ID)
			},
			check: func(k store.Key) bool { return k.Published() && k.RotatedTo == uuid.Nil },
		},
		{
			name: "Revoke of a key that is rotated", meanwhile: rotate,
			call:  func(k store.Key) (store.Key, error) { return s.Revoke(t.Context(), "acme", k.ID, at) },
			check: func(k store.Key) bool { return k.RevokedVersion != 0 && k.RotatedTo != uuid.Nil },
		},
		{
			name: "Revoke of a key that expires", meanwhile: expire,
			call:  func(k store.Key) (store.Key, error) { return s.Revoke(t.Context(), "acme", k.ID, at) },
			check: func(k store.Key) bool { return k.RevokedAt.Equal(at) && k.RevokedVersion == 0 },
		},
		{
			name: "Revoke of a key that is suspended", meanwhile: suspend,
			call:  func(k store.Key) (store.Key, error) { return s.Revoke(t.Context(), "acme", k.ID, at) },
			check: func(k store.Key) bool { return k.RevokedVersion != 0 && !k.SuspendedAt.IsZero() },
		},
		{
			name: "Revoke of a key that is resumed", suspended: true, meanwhile: resume,
			call:  func(k store.Key) (store.Key, error) { return s.Revoke(t.Context(), "acme", k.ID, at) },
			check: func(k store.Key) bool { return k.RevokedVersion != 0 && k.SuspendedAt.IsZero() },
		},
		{
			name: "Rotate of a key that is suspended", meanwhile: suspend, want: store.ErrNotActive,
			call: func(k store.Key) (store.Key, error) { old, _, err := next(k); return old, err },
		},
		{
			name: "Rotate of a key that is fenced", meanwhile: fence,
			call:  func(k store.Key) (store.Key, error) { _, issued, err := next(k); return issued, err },
			check: func(k store.Key) bool { return len(k.AllowedIPs) == 1 },
		},
		{
			name: "Rotate of a key that is narrowed", meanwhile: narrow,
			call:  func(k store.Key) (store.Key, error) { _, issued, err := next(k); return issued, err },
			check: func(k store.Key) bool { return len(k.Scopes) == 1 && len(k.Signed.Scopes) == 2 },
		},
		{
			name: "Rotate of a key that gets a ceiling", meanwhile: bound,
			call:  func(k store.Key) (store.Key, error) { _, issued, err := next(k); return issued, err },
			check: func(k store.Key) bool { return k.Ceiling.Scopes != nil },
		},
		{
			name: "UndoRotation of a key that is suspended", rotated: true, meanwhile: suspend, want: store.ErrNotActive,
			call: func(k store.Key) (store.Key, error) {
				old, _, err := s.UndoRotation(t.Context(), "acme", k.ID, uuid.Nil, at)
				return old, err
			},
		},
		{
			name: "Retire of a key that is suspended", rotated: true, meanwhile: suspend,
			call: func(k store.Key) (store.Key, error) {
				_, err := s.Retire(t.Context(), "acme", []uuid.UUID{k.ID}, at.Add(time.Minute))
				if err != nil {
					return store.Key{}, err
				}
				return s.Key(t.Context(), "acme", k.ID)
			},
			check: func(k store.Key) bool { return k.RevokedVersion != 0 && !k.SuspendedAt.IsZero() },
		},
		{
			name: "Retire of a key that is prolonged", meanwhile: prolong,
			call: func(k store.Key) (store.Key, error) {
				_, err := s.Retire(t.Context(), "acme", []uuid.UUID{k.ID}, k.ExpiresAt)
				if err != nil {
					return store.Key{}, err
				}
				return s.Key(t.Context(), "acme", k.ID)
			},
			check: func(k store.Key) bool { return k.Published() },
		},
	} {
		k := issue(t, s, "acme")
		if c.suspended {
			_, err := s.UpdateKey(t.Context(), "acme", k.ID, func(_ *store.Workspace, k *store.Key) error { k.SuspendedAt = at; return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		changed := k.ID
		if c.rotated {
			old, issued, err := next(k)
			if err != nil {
				t.Fatal(err)
			}
			if k = old; c.ofNext {
				changed = issued.ID
			}
		}
		holder, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := holder.Exec(t.Context(), `BEGIN; SELECT FROM workspaces WHERE id = 'acme' FOR UPDATE`); err != nil {
			t.Fatal(err)
		}
		type answer struct {
			key store.Key
			err error
		}
		answers := make(chan answer, 1)
		go func() {
			got, err := c.call(k)
			answers <- answer{got, err}
		}()
		testkit.Eventually(t, "the call waits for the lock", func() bool {
			return server.Query(t, url, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
				AND wait_event_type = 'Lock'`)[0] == "1"
		})
		if _, err := holder.Exec(t.Context(), c.meanwhile, [16]byte(changed)); err != nil {
			t.Fatal(err)
		}
		if _, err := holder.Exec(t.Context(), `COMMIT`); err != nil {
			t.Fatal(err)
		}
		_ = holder.Close(context.WithoutCancel(t.Context()))
		got := <-answers
		if !errors.Is(got.err, c.want) || (c.want == nil && (got.err != nil || !c.check(got.key))) {
			t.Errorf("%s: got %+v, %v", c.name, got.key, got.err)
		}
		checkFingerprint(t, s, "acme")
	}
}

// If a link is exchanged while all sessions of the workspace are ended, the new session is ended, too.
func TestASessionThatBeginsMeanwhileEnds(t *testing.T) {
	server := pgtest.Shared(t)
	url := server.Database(t)
	s := openTest(t, url)
	create(t, s, "acme")
	link := store.Session{Kind: store.KindLink, Workspace: "acme", Owner: "o", Role: store.RoleOwner, ExpiresAt: time.Now().Add(time.Hour)}
	if err := s.CreateSession(t.Context(), link); err != nil {
		t.Fatal(err)
	}
	holder, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	const exchange = `WITH spent AS (DELETE FROM sessions RETURNING *)
		INSERT INTO sessions SELECT decode(repeat('01', 32), 'hex'), 'session', workspace, owner, role, subject, scopes_allowed, return_url,
			embedded, created_at, expires_at FROM spent`
	if _, err := holder.Exec(t.Context(), `BEGIN; `+exchange); err != nil {
		t.Fatal(err)
	}
	ended := make(chan int, 1)
	go func() {
		n, err := s.EndSessions(t.Context(), "acme", "o", time.Now())
		if err != nil {
			t.Error(err)
		}
		ended <- n
	}()
	testkit.Eventually(t, "the call waits for the lock", func() bool {
		return server.Query(t, url, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
			AND wait_event_type = 'Lock'`)[0] == "1"
	})
	if _, err := holder.Exec(t.Context(), `COMMIT`); err != nil {
		t.Fatal(err)
	}
	_ = holder.Close(context.WithoutCancel(t.Context()))
	if n := <-ended; n != 1 || server.Query(t, url, `SELECT count(*) FROM sessions`)[0] != "0" {
		t.Errorf("%d ended, and the session goes on", n)
	}
}
