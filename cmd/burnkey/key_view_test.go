package main

import (
	"slices"
	"testing"

	"github.com/burnkey/burnkey/client"
)

// The list of keys has a column of plans only if a key has one.
func TestKeyTableShowsPlans(t *testing.T) {
	key := func(id, plan string) client.Key {
		return client.Key{ID: id, KID: id, Owner: "a", Plan: plan, Status: "active"}
	}
	keys := []client.Key{key("1", "pro"), key("2", ""), {ID: "3", Status: "active"}}
	rows := keyTable(keys)
	at := slices.Index(rows[0], "PLAN")
	if at < 0 || rows[1][at] != "pro" || rows[2][at] != "" || rows[3][at] != "" {
		t.Errorf("with a plan: %q", rows)
	}
	for _, rows := range [][][]string{rows, keyTable(keys[1:])} {
		if rows[len(rows)-1][slices.Index(rows[0], "STATUS")] != "active" {
			t.Errorf("columns do not fit: %q", rows)
		}
	}
	if none := keyTable(keys[1:]); slices.Contains(none[0], "PLAN") || len(none[1]) != len(none[0]) {
		t.Errorf("without plans: %q", none)
	}
}
