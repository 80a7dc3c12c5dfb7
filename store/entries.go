package store

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"
)

// The functions below return the audit entries that a backend adds for its changes. Their arguments are the
// records as stored after the change.

// detail is a JSON object; newEntry deletes members that are nil.
type detail map[string]any

func newEntry(ctx context.Context, workspace, action string, at time.Time, d detail) Entry {
	for name, value := range d {
		if value == nil {
			delete(d, name)
		}
	}
	return Entry{
		ID: EntryID(at), Workspace: workspace, At: time.UnixMicro(at.UnixMicro()).UTC(), Actor: ActorOf(ctx), Action: action,
		Result: ResultOK, Detail: d.text(),
	}
}

// text returns the detail as JSON without HTML escapes, which would make it up to six times as long.
func (d detail) text() json.RawMessage {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if enc.Encode(d) != nil { // can't happen: all values can be encoded
		return json.RawMessage(`{}`)
	}
	return bytes.TrimRight(text.Bytes(), "\n")
}

func keyEntry(ctx context.Context, k Key, action string, at time.Time, d detail) Entry {
	e := newEntry(ctx, k.Workspace, action, at, d)
	e.Key, e.Owner = k.ID, k.Owner
	return e
}

// Recorded completes an entry that was passed to AuditStore.Record.
func Recorded(ctx context.Context, e Entry) Entry {
	e.ID, e.At = EntryID(e.At), time.UnixMicro(e.At.UnixMicro()).UTC()
	if e.Actor.Kind == "" {
		e.Actor = ActorOf(ctx)
	}
	if len(e.Detail) == 0 {
		e.Detail = json.RawMessage(`{}`)
	}
	return e
}

// WorkspaceCreated returns the entry of ActionWorkspaceCreate.
func WorkspaceCreated(ctx context.Context, w Workspace) Entry {
	return newEntry(ctx, w.ID, ActionWorkspaceCreate, w.CreatedAt, workspaceFields(w))
}

// WorkspaceUpdated returns the entry of ActionWorkspaceUpdate.
func WorkspaceUpdated(ctx context.Context, before, after Workspace) Entry {
	return newEntry(ctx, after.ID, ActionWorkspaceUpdate, after.UpdatedAt, changed(workspaceFields(before), workspaceFields(after)))
}

func workspaceFields(w Workspace) detail {
	policy, portal := w.Policy.Clone(), w.Portal.Clone()
	d := detail{
		"name": w.Name, "audiences": append([]string{}, w.Audiences...), "allow_never_expires": w.AllowNeverExpires,
		"policy": members(policy),
	}
	if portal.LogoHash != "" {
		d["portal_logo_sha256"] = portal.LogoHash
	}
	if w.Settings.TokenPrefix != "" {
		d["token_prefix"] = w.Settings.TokenPrefix
	}
	if until := w.Settings.BareUntil; !until.IsZero() {
		d["bare_tokens_until"] = until.UTC()
	}
	portal.LogoHash = ""
	d["portal"] = members(portal)
	if w.Environment != "" {
		d["environment"] = w.Environment
	}
	if w.EnvironmentOf != "" {
		d["environment_of"], d["inherits"] = w.EnvironmentOf, append([]string{}, w.Inherits...)
	}
	return d
}

// changed returns the fields that differ, each with the value before and after; a missing value is null.
func changed(before, after detail) detail {
	type change struct {
		Before any `json:"before"`
		After  any `json:"after"`
	}
	d := detail{}
	for _, fields := range []detail{before, after} {
		for name := range fields {
			was, is := before[name], after[name]
			if reflect.DeepEqual(was, is) {
				continue
			}
			old, oldParts := was.(detail)
			if parts, both := is.(detail); both && oldParts {
				was, is = without(old, parts), without(parts, old)
			}
			d[name] = change{was, is}
		}
	}
	return d
}

// without returns the members of `parts` that `others` does not have with the same value.
func without(parts, others detail) detail {
	left := detail{}
	for name, part := range parts {
		if !reflect.DeepEqual(part, others[name]) {
			left[name] = part
		}
	}
	return left
}

// members returns the members of v's JSON object.
func members(v any) detail {
	d := detail{}
	if text, err := json.Marshal(v); err == nil { // nothing in it can't be
		_ = json.Unmarshal(text, &d)
	}
	return d
}

// KeyIssued returns the entry of ActionKeyIssue, for a new key or a rotated key's successor.
func KeyIssued(ctx context.Context, k Key) Entry {
	d := attributeFields(k)
	d["kid"], d["name"], d["scopes"] = k.KID.String(), k.Name, append([]string{}, k.Scopes...)
	d["expires_at"], d["rotated_from"], d["parent"] = orNil(k.ExpiresAt), idOrNil(k.RotatedFrom), idOrNil(k.Parent)
	return keyEntry(ctx, k, ActionKeyIssue, k.CreatedAt, d)
}

// KeyImported returns the entry of ActionKeyImport.
func KeyImported(ctx context.Context, k Key) Entry {
	e := KeyIssued(ctx, k)
	e.Action = ActionKeyImport
	return e
}

// KeyUpdated returns the entry of ActionKeyUpdate. Its detail has only the members of the metadata that differ.
func KeyUpdated(ctx context.Context, before, after Key) Entry {
	fields := func(k Key) detail {
		d := attributeFields(k)
		d["name"], d["metadata"], d["enabled"] = k.Name, object(k.Metadata), k.SuspendedAt.IsZero()
		d["scopes"], d["expires_at"] = append([]string{}, k.Scopes...), orNil(k.ExpiresAt)
		if k.SuspendedReason != "" {
			d["suspended_reason"] = k.SuspendedReason
		}
		if !k.Ceiling.IsZero() {
			d["ceiling"] = members(k.Ceiling)
		}
		return d
	}
	return keyEntry(ctx, after, ActionKeyUpdate, after.UpdatedAt, changed(fields(before), fields(after)))
}

// attributeFields returns the attributes of a key that are not signed.
func attributeFields(k Key) detail {
	d := detail{}
	if len(k.AllowedIPs) > 0 {
		d["allowed_ips"] = slices.Clone(k.AllowedIPs)
	}
	if k.Plan != "" {
		d["plan"] = k.Plan
	}
	if len(k.Limits) > 0 {
		d["limits"] = slices.Clone(k.Limits)
	}
	return d
}

// object returns raw as a value in a detail: a JSON object with its members unchanged, or else a string.
func object(raw json.RawMessage) any {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return string(raw)
	}
	d := make(detail, len(members))
	for name, value := range members {
		d[name] = value
	}
	return d
}

// KeyRevoked returns the entry of ActionKeyRevoke. The key's RevokedAt is set.
func KeyRevoked(ctx context.Context, k Key) Entry {
	return keyEntry(ctx, k, ActionKeyRevoke, k.RevokedAt, detail{
		"kid": k.KID.String(), "name": k.Name, "rotated_from": idOrNil(k.RotatedFrom), "rotated_to": idOrNil(k.RotatedTo),
		"parent": idOrNil(k.Parent),
	})
}

// KeyRotated returns the entry of ActionKeyRotate.
func KeyRotated(ctx context.Context, old Key, at time.Time) Entry {
	return keyEntry(ctx, old, ActionKeyRotate, at, detail{
		"kid": old.KID.String(), "name": old.Name, "rotated_to": old.RotatedTo.String(), "grace_ends_at": old.GraceEndsAt,
	})
}

// RotationUndone returns the entry of ActionRotationUndo.
func RotationUndone(ctx context.Context, old Key, successor uuid.UUID, at time.Time) Entry {
	return keyEntry(ctx, old, ActionRotationUndo, at, detail{
		"kid": old.KID.String(), "name": old.Name, "rotated_to": successor.String(),
	})
}

// KeyRetired returns the entry of ActionGraceEnd or ActionKeyExpire.
func KeyRetired(k Key, at time.Time) Entry {
	action, due := ActionKeyExpire, k.ExpiresAt
	if !k.RevokedAt.IsZero() {
		action, due = ActionGraceEnd, k.GraceEndsAt
	}
	return keyEntry(context.Background(), k, action, at, detail{"kid": k.KID.String(), "name": k.Name, "due_at": due})
}

// KeyNoticed returns the entry of ActionKeyNotice: a notice was sent that the key expires in `days` days.
func KeyNoticed(ctx context.Context, k Key, days int, at time.Time) Entry {
	return keyEntry(ctx, k, ActionKeyNotice, at, detail{
		"kid": k.KID.String(), "name": k.Name, "days": days, "expires_at": orNil(k.ExpiresAt),
	})
}

// SessionBegun returns the entry of ActionSessionCreate for a link, or of ActionSessionStart for a session.
func SessionBegun(ctx context.Context, s Session) Entry {
	action := ActionSessionStart
	if s.Kind == KindLink {
		action = ActionSessionCreate
	}
	return sessionEntry(ctx, s, action, s.CreatedAt)
}

// SessionEnded returns the entry of ActionSessionEnd.
func SessionEnded(ctx context.Context, s Session, at time.Time) Entry {
	return sessionEntry(ctx, s, ActionSessionEnd, at)
}

// SessionsEnded returns the entry of ActionSessionEnd for the end of several sessions: those of one owner, or
// all if owner is empty.
func SessionsEnded(ctx context.Context, workspace, owner string, count int, at time.Time) Entry {
	e := newEntry(ctx, workspace, ActionSessionEnd, at, detail{"count": count})
	e.Owner = owner
	return e
}

func sessionEntry(ctx context.Context, s Session, action string, at time.Time) Entry {
	e := newEntry(ctx, s.Workspace, action, at, detail{
		"kind": s.Kind, "role": s.Role, "subject": s.Subject, "made_by": idOrNil(s.MadeBy),
		"scopes_allowed": listOrNil(s.ScopesAllowed), "expires_at": orNil(s.ExpiresAt),
	})
	e.Owner = s.Owner
	return e
}

func orNil(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func idOrNil(id uuid.UUID) any {
	if id == uuid.Nil {
		return nil
	}
	return id.String()
}

func listOrNil(list []string) any {
	if list == nil {
		return nil
	}
	return list
}
