package main

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/burnkey/burnkey/client"
)

func keyRows(k *client.Key) [][]string {
	if k.Partial() {
		return withRotation(k, [][]string{
			{"key", k.ID}, {"status", k.Status}, {"created", when(&k.CreatedAt)}, {"other fields", "require the scope keys:read"},
		})
	}
	return withRotation(k, withAttributes(k, [][]string{
		{"key", k.ID},
		{"kid", k.KID},
		{"workspace", k.Workspace},
		{"owner", k.Owner},
		{"name", k.Name},
		{"scopes", strings.Join(k.Scopes, " ")},
		{"audience", strings.Join(k.Audience, " ")},
		{"status", k.Status},
		{"created", when(&k.CreatedAt)},
		{"expires", when(k.ExpiresAt)},
		{"last used", lastUsed(k)},
	}))
}

// withAttributes adds the attributes that are set, each with "gateway" if only gateways with the feed hold it.
func withAttributes(k *client.Key, rows [][]string) [][]string {
	if k.SuspendedAt != nil {
		rows = append(rows, []string{"suspended", when(k.SuspendedAt) + " by the " + k.SuspendedBy}, []string{"reason", k.SuspendedReason})
	}
	if k.Imported {
		rows = append(rows, []string{"imported", "yes; only gateways with the feed accept it"})
	}
	for _, row := range [][]string{
		{"allowed IPs", strings.Join(k.AllowedIPs, " ")},
		{"ceiling", ceilingText(k.Ceiling)},
		{"plan", k.Plan},
		{"parent", k.Parent},
		{"limits", limitsText(k.Limits)},
	} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	var by []string
	for _, name := range slices.Sorted(maps.Keys(k.EnforcedBy)) {
		by = append(by, name+": "+k.EnforcedBy[name])
	}
	if len(by) > 0 {
		rows = append(rows, []string{"enforced by", strings.Join(by, ", ")})
	}
	return rows
}

func ceilingText(c *client.Ceiling) string {
	var parts []string
	if c == nil {
		return ""
	}
	if c.ExpiresAt != nil {
		parts = append(parts, "expires_at: "+when(c.ExpiresAt))
	}
	if c.Scopes != nil {
		parts = append(parts, "scopes: "+cmp.Or(strings.Join(c.Scopes, " "), "none"))
	}
	if len(c.AllowedIPs) > 0 {
		parts = append(parts, "allowed_ips: "+strings.Join(c.AllowedIPs, " "))
	}
	return strings.Join(parts, ", ")
}

func allKeyRows(k *client.Key) [][]string {
	return append(keyRows(k), []string{"claims", string(k.Claims)}, []string{"metadata", string(k.Metadata)})
}

func revokedRows(k *client.RevokedKey) [][]string {
	return [][]string{
		{"key", k.ID}, {"status", k.Status}, {"revoked", when(&k.RevokedAt)}, {"version", strconv.FormatUint(k.Version, 10)},
	}
}

func withRotation(k *client.Key, rows [][]string) [][]string {
	if k.RotatedFrom != "" {
		rows = append(rows, []string{"successor of", k.RotatedFrom})
	}
	if k.RotatedTo != "" {
		rows = append(rows, []string{"rotated to", k.RotatedTo})
	}
	if k.GraceEndsAt != nil && k.RevokedAt == nil {
		rows = append(rows, []string{"grace ends", when(k.GraceEndsAt)})
	}
	if k.RevokedAt != nil {
		rows = append(rows, []string{"revoked", when(k.RevokedAt)})
	}
	return rows
}

// lastUsed returns "" if no use is known. "never" would be wrong if no gateway reports usage.
func lastUsed(k *client.Key) string {
	if k.LastUsedAt == nil {
		return ""
	}
	return when(k.LastUsedAt)
}

// ends returns when the key stops working unless it is revoked earlier: at its expiry or at the end of its
// grace period.
func ends(k *client.Key) *time.Time {
	if k.GraceEndsAt != nil && (k.ExpiresAt == nil || k.GraceEndsAt.Before(*k.ExpiresAt)) {
		return k.GraceEndsAt
	}
	return k.ExpiresAt
}

// keyTable has a column of plans only if a key has one.
func keyTable(keys []client.Key) [][]string {
	rows := [][]string{{"KEY", "OWNER", "NAME", "SCOPES", "PLAN", "STATUS", "CREATED", "EXPIRES", "LAST USED"}}
	hasPlan := false
	for i := range keys {
		k := &keys[i]
		if k.Partial() {
			rows = append(rows, []string{k.ID, "", "", "", "", k.Status, when(&k.CreatedAt), "", ""})
			continue
		}
		hasPlan = hasPlan || k.Plan != ""
		rows = append(rows, []string{
			k.ID, k.Owner, k.Name, strings.Join(k.Scopes, " "), k.Plan, k.Status, when(&k.CreatedAt), when(ends(k)), lastUsed(k),
		})
	}
	if hasPlan {
		return rows
	}
	column := slices.Index(rows[0], "PLAN")
	for i := range rows {
		rows[i] = slices.Delete(rows[i], column, column+1)
	}
	return rows
}
