package authz

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/burnkey/burnkey/internal/spans"
	"github.com/burnkey/burnkey/jwks"
	"github.com/burnkey/burnkey/store"
)

const (
	// MaxImport is the maximum number of keys in one Import.
	MaxImport = 1000
	// importBatch is the maximum number of keys in one transaction, for which other writers wait, and in one change of the feed.
	importBatch = 250
)

// Rules of imported keys.
var (
	RuleNotDigest = rule("not_digest",
		"must be sha256: or hmac-sha256: and 32 bytes in hexadecimal or base64url. Hashes with a salt, such as those of bcrypt and "+
			"argon2, can't be looked up: verify each key once with the old system and import its SHA-256")
	RuleDigestTaken  = rule("digest_taken", "belongs to a key that was imported before, for another owner or into another workspace")
	RuleOwnerFull    = rule("owner_full", "has as many keys as the workspace allows: {max}")
	RuleNoHomeImport = rule("no_home_import", "can't be imported into the workspace {workspace}, whose keys are the management keys")
)

// ImportEntry describes a key that another system issued. Digest and Owner are required.
type ImportEntry struct {
	Digest   string // for jwks.ParseDigest
	Owner    string
	Name     string
	Scopes   []string
	Audience []string // if empty, the workspace's default
	// ExpiresAt is in the future. If it is zero and NeverExpires is false, the workspace's default lifetime applies.
	ExpiresAt    time.Time
	NeverExpires bool
	Metadata     []byte
	AllowedIPs   []string
	Plan         string
	Limits       []jwks.Limit
}

// Imported is what became of an ImportEntry.
type Imported struct {
	Key    store.Key  // zero if it was refused
	Exists bool       // the workspace has or had it already, with the same owner
	Faults InputError // why it was refused
}

// Import stores keys that other systems issued, and publishes them to gateways that follow the feed. Every 250 entries are
// one transaction. After a failure, some can be stored: if the call is repeated, they exist. Errors: InputError, ErrNotFound,
// *mint.BusyError: too many imports into the workspace wait for each other.
func (s *Service) Import(ctx context.Context, workspace string, entries []ImportEntry) ([]Imported, error) {
	defer spans.Start(&ctx, "authz.import", nil)()
	if err := checkImport(workspace, len(entries)); err != nil {
		return nil, err
	}
	if _, err := s.store.Workspace(ctx, workspace); err != nil {
		return nil, err
	}
	leave, err := s.conflicts.alone(ctx, conflictKey{workspace, "import", ""})
	if err != nil {
		return nil, err
	}
	defer leave()
	all := make([]Imported, 0, len(entries))
	for batch := range slices.Chunk(entries, importBatch) {
		some, err := s.importBatch(ctx, workspace, batch)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func checkImport(workspace string, count int) error {
	var bad InputError
	if count < 1 || count > MaxImport {
		bad.Add("keys", RuleOutOfRange, "min", 1, "max", MaxImport)
	}
	if workspace == Home {
		bad.Add("keys", RuleNoHomeImport, "workspace", Home)
	}
	return bad.err()
}

func (s *Service) importBatch(ctx context.Context, workspace string, batch []ImportEntry) ([]Imported, error) {
	ctx, cancel := settle(ctx)
	defer cancel()
	var (
		results = make([]Imported, len(batch))
		places  []int // of keys in results
		keys    []store.Key
	)
	for i := range batch {
		key, err := s.imported(&batch[i])
		if bad := InputError(nil); errors.As(err, &bad) {
			results[i].Faults = bad
			continue
		} else if err != nil {
			return nil, err
		}
		places, keys = append(places, i), append(keys, key)
	}
	perOwner := 0
	stored, err := s.store.Import(ctx, workspace, keys, func(w *store.Workspace) (func(*store.Key) error, int, error) {
		perOwner = w.Policy.KeysPerOwner
		return func(k *store.Key) error { return completeImported(w, k) }, perOwner, nil
	})
	if err != nil {
		return nil, err
	}
	for i := range stored {
		if results[places[i]], err = importedAs(&stored[i], perOwner); err != nil {
			return nil, err
		}
	}
	return results, s.publishImported(ctx, workspace, stored)
}

// imported checks what does not depend on the workspace.
func (s *Service) imported(e *ImportEntry) (store.Key, error) {
	var bad InputError
	digest, err := jwks.ParseDigest(e.Digest)
	if err != nil {
		bad.Add("digest", RuleNotDigest)
	}
	bad.owner("owner", e.Owner)
	bad.name("name", e.Name, 0)
	bad.scopes("scopes", e.Scopes)
	bad.audiences("audience", e.Audience)
	bad.depth("metadata", e.Metadata)
	bad.planName("plan", e.Plan)
	bad.limits("limits", e.Limits)
	now := s.Now()
	if e.NeverExpires && !e.ExpiresAt.IsZero() {
		bad.Add("expires_at", RuleExpiresTwice)
	} else if !e.ExpiresAt.IsZero() && !e.ExpiresAt.After(now) {
		bad.Add("expires_at", RuleNotFuture)
	}
	k := store.Key{
		Owner: e.Owner, Name: e.Name, Scopes: e.Scopes, Audience: e.Audience, Plan: e.Plan, Limits: e.Limits, ExpiresAt: e.ExpiresAt,
		Metadata: []byte(bad.object("metadata", e.Metadata, MaxMetadata)), AllowedIPs: bad.networks("allowed_ips", e.AllowedIPs),
		Digest: &digest, CreatedAt: now, UpdatedAt: now,
	}
	k.Ceiling.AllowedIPs = k.AllowedIPs
	if len(bad) > 0 {
		return k, bad
	}
	if !e.NeverExpires && e.ExpiresAt.IsZero() {
		k.ExpiresAt = byDefault
	}
	k.ID, err = s.newID()
	return k, err
}

// byDefault stands for the workspace's default lifetime until completeImported.
var byDefault = time.Unix(0, 0)

// completeImported checks a key against the workspace, and sets its defaults.
func completeImported(w *store.Workspace, k *store.Key) error {
	var bad InputError
	bad.among("audience", w, k.Audience)
	bad.offered("scopes", w, k.Scopes)
	if len(k.Audience) == 0 {
		k.Audience = slices.Clone(w.Policy.DefaultAudience)
	}
	if len(k.Audience) == 0 {
		k.Audience = slices.Clone(w.Audiences)
	}
	seconds := func(n int64) time.Time { return k.CreatedAt.Add(time.Duration(n) * time.Second) }
	switch {
	case k.ExpiresAt.Equal(byDefault):
		k.ExpiresAt = seconds(DefaultLife(w)).Truncate(time.Second)
	case k.ExpiresAt.IsZero() && !MayNeverExpire(w):
		bad.refuseNeverExpires(w)
	case k.ExpiresAt.After(seconds(MaxLife(w))):
		bad.Add("expires_at", RuleTooLate, "max", MaxLife(w))
	}
	return bad.err()
}

// importedAs converts a result of the store. Errors are those of the store itself.
func importedAs(r *store.ImportResult, perOwner int) (Imported, error) {
	var bad InputError
	switch {
	case r.Err == nil:
		return Imported{Key: r.Key, Exists: r.Exists}, nil
	case errors.As(r.Err, &bad):
	case errors.Is(r.Err, store.ErrDigest):
		bad = Invalid("digest", RuleDigestTaken)
	case errors.Is(r.Err, store.ErrNoPlan):
		bad = Invalid("plan", RuleNoPlan)
	case errors.Is(r.Err, store.ErrTooMany):
		bad = Invalid("owner", RuleOwnerFull, "max", perOwner)
	default:
		return Imported{}, r.Err
	}
	return Imported{Faults: bad}, nil
}

func (s *Service) publishImported(ctx context.Context, workspace string, stored []store.ImportResult) error {
	var c jwks.Change
	for i := range stored {
		if stored[i].New {
			c.Version = stored[i].Key.Version
			stored[i].Key.SetIn(&c.Unsigned)
		}
	}
	if c.Version == 0 {
		return nil
	}
	s.publisher.Apply(ctx, workspace, c)
	s.wakeReaper()
	return s.publisher.Reach(ctx, workspace, c.Version)
}
