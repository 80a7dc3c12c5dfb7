package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// Kinds of an Actor.
const (
	ActorKey      = "key"      // a management key; ID is its id
	ActorSession  = "session"  // an owner's portal session begun by a link; ID is its Subject
	ActorOIDC     = "oidc"     // an owner's portal session begun by a login, or a login; ID is its Subject
	ActorOperator = "operator" // an operator's portal session; ID is its Subject
	ActorToken    = "token"    // the holder of a token; ID is its key's id
	ActorSystem   = "system"   // the server itself
	ActorCLI      = "cli"      // a command run on the database
)

// Actor is the author of a change, and the address it came from.
type Actor struct {
	Kind string
	ID   string
	From string // empty: unknown
}

type actorKey struct{}

// By returns a context with which a Store records the actor a for its changes. Invalid UTF-8 and NUL in a are
// replaced, so that no change fails because of its author's name.
func By(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, Actor{Kind: clean(a.Kind), ID: clean(a.ID), From: clean(a.From)})
}

func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// ActorOf returns the actor of a context, by default the system.
func ActorOf(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok {
		return a
	}
	return Actor{Kind: ActorSystem}
}

// Actions of an Entry.
const (
	ActionWorkspaceCreate  = "workspace.create"
	ActionWorkspaceUpdate  = "workspace.update"
	ActionWorkspaceRestore = "workspace.restore" // of a backup
	ActionKeyIssue         = "key.issue"
	ActionKeyImport        = "key.import"
	ActionKeyUpdate        = "key.update"
	ActionKeyRevoke        = "key.revoke"
	ActionKeyRotate        = "key.rotate"
	ActionRotationUndo     = "key.rotation.undo"
	ActionGraceEnd         = "key.grace.end" // when it is over; ending it early is ActionKeyRevoke
	ActionKeyExpire        = "key.expire"
	ActionKeyNotice        = "key.notice"
	ActionLimitsCreate     = "limits.create"
	ActionLimitsUpdate     = "limits.update"
	ActionLimitsDelete     = "limits.delete"
	ActionRequestCreate    = "request.create"
	ActionRequestApprove   = "request.approve"
	ActionRequestDecline   = "request.decline"
	ActionRequestWithdraw  = "request.withdraw"
	ActionSessionCreate    = "session.create" // of a link
	ActionSessionStart     = "session.start"
	ActionSessionEnd       = "session.end"
	ActionLoginRefuse      = "login.refuse"
	ActionCallRefuse       = "call.refuse"
	ActionAuditCut         = "audit.cut"
)

// Actions returns the actions that an Entry can have.
func Actions() []string {
	return []string{
		ActionKeyIssue, ActionKeyImport, ActionKeyUpdate, ActionKeyRevoke, ActionKeyRotate, ActionRotationUndo, ActionGraceEnd,
		ActionKeyExpire, ActionKeyNotice,
		ActionRequestCreate, ActionRequestApprove, ActionRequestDecline, ActionRequestWithdraw,
		ActionSessionCreate, ActionSessionStart, ActionSessionEnd, ActionLoginRefuse, ActionCallRefuse,
		ActionWorkspaceCreate, ActionWorkspaceUpdate, ActionWorkspaceRestore,
		ActionLimitsCreate, ActionLimitsUpdate, ActionLimitsDelete, ActionAuditCut,
	}
}

// Results of an Entry.
const (
	ResultOK      = "ok"
	ResultRefused = "refused"
)

// Entry is one record of the audit. It never contains a token or a session's secret.
type Entry struct {
	ID        uuid.UUID // a UUIDv7 of At: entries sort by it
	Workspace string
	At        time.Time
	Actor     Actor
	Action    string
	Key       uuid.UUID // uuid.Nil: not about a key
	Owner     string    // of the key or session, or empty
	Result    string
	Detail    json.RawMessage // a JSON object
}

// AuditFilter selects entries of one workspace. Zero fields select everything.
type AuditFilter struct {
	Owner   string
	Key     uuid.UUID
	Action  string
	ActorID string // a key's id is matched in upper and lower case
	Result  string
	Since   time.Time // at it or later
	Until   time.Time // before it
	// After is the id after which the page starts, even if no entry has this id; uuid.Nil: start at the newest.
	After uuid.UUID
	Limit int // the most entries of a page; must be positive
	// Bytes and Rows are as in Filter. Rows counts the entries of the Owner or Key from Since to Until.
	Bytes, Rows int
}

// Narrows reports whether the filter has a condition that no index can answer.
func (f *AuditFilter) Narrows() bool { return f.Action != "" || f.ActorID != "" || f.Result != "" }

// ActorAsID returns ActorID, in lower case if it is a key's id. Other ids come from a provider
// and are matched exactly.
func (f *AuditFilter) ActorAsID() string {
	if id, ok := ParseID(f.ActorID); ok {
		return id.String()
	}
	return f.ActorID
}

// AuditStore is the part of Store that records who did what. Entries can't be changed, and only
// CutAudit deletes them.
type AuditStore interface {
	// Record adds an entry about what changes nothing in the store, such as a refusal. The store sets ID, and
	// replaces an Actor without a Kind by that of ctx. At must not be zero. The workspace need not exist.
	Record(ctx context.Context, e Entry) error
	// Audit lists a workspace's entries, newest first. An index selects them by owner, key or time; other
	// fields filter the entries found. next has the same meaning as for Store.Keys.
	Audit(ctx context.Context, workspace string, f AuditFilter) (list []Entry, next uuid.UUID, err error)
	// CutAudit deletes archived entries of a workspace: those older than the time `before` whose id is at most
	// `through`, up to AuditCut of them, the oldest first. It returns their number. If that is not 0, it
	// records an ActionAuditCut in the same transaction.
	CutAudit(ctx context.Context, workspace string, through uuid.UUID, before, now time.Time) (int, error)
}

// AuditCut limits how many entries one CutAudit deletes, because other writers wait for it.
const AuditCut = 1000

// AuditWasCut returns the entry that CutAudit records. For backends.
func AuditWasCut(ctx context.Context, workspace string, count int, before, at time.Time) Entry {
	return newEntry(ctx, workspace, ActionAuditCut, at, detail{"count": count, "before": before.UTC()})
}

// entries counts this process's entries: the count in their ids keeps entries of the same time in order.
var entries atomic.Uint32

// EntryID returns a new id for an entry of a time: a UUIDv7 with the microseconds and a counter after
// the milliseconds (RFC 9562 section 5.7).
func EntryID(at time.Time) uuid.UUID {
	id := FirstEntryID(at)
	binary.BigEndian.PutUint32(id[8:], entries.Add(1)&0x3fffffff|0x80000000)
	binary.BigEndian.PutUint32(id[12:], rand.Uint32())
	return id
}

// FirstEntryID returns the lowest id that an entry of a time can have. A time outside the range of a UUIDv7 is
// replaced by the nearest time in that range.
func FirstEntryID(at time.Time) (id uuid.UUID) {
	const last = 1<<48*1000 - 1
	micros := uint64(min(max(at.UnixMicro(), 0), last))
	binary.BigEndian.PutUint64(id[:], micros/1000<<16|7<<12|micros%1000<<2)
	id[8] = 0x80
	return id
}
