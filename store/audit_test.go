package store_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/burnkey/burnkey/store"
)

func TestEntryIDsAreOfTheirTimeAndInOrder(t *testing.T) {
	var last uuid.UUID
	for i := range 5000 {
		at := now.Add(time.Duration(i/3) * time.Microsecond) // several of one time, and over milliseconds
		id := store.EntryID(at)
		seconds, nanos := id.Time().UnixTime()
		if got := time.Unix(seconds, nanos); !got.Equal(at.Truncate(time.Millisecond)) {
			t.Fatalf("the id of %v is of %v", at, got)
		}
		if id.Version() != 7 || id.Variant() != uuid.RFC4122 {
			t.Fatalf("%s is no UUIDv7", id)
		}
		first, next := store.FirstEntryID(at), store.FirstEntryID(at.Add(time.Microsecond))
		if slices.Compare(id[:], first[:]) < 0 || slices.Compare(id[:], next[:]) >= 0 || slices.Compare(id[:], last[:]) <= 0 {
			t.Fatalf("%s is not from %s to %s and after %s", id, first, next, last)
		}
		last = id
	}
}

func TestEntryIDsOfYearsThatHaveNone(t *testing.T) {
	low, high := store.FirstEntryID(time.Time{}), store.FirstEntryID(time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC))
	epoch, late := store.FirstEntryID(time.Unix(0, 0)), store.FirstEntryID(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))
	if low != epoch || slices.Compare(high[:], late[:]) <= 0 {
		t.Errorf("got %s, %s, %s, %s", low, epoch, late, high)
	}
}

func TestActorOfAContext(t *testing.T) {
	if got := store.ActorOf(t.Context()); got != (store.Actor{Kind: store.ActorSystem}) {
		t.Errorf("nobody is %+v", got)
	}
	ctx := store.By(store.By(t.Context(), store.Actor{Kind: store.ActorCLI}), store.Actor{Kind: store.ActorKey, ID: "a\x00\xffb", From: "::1"})
	if got, want := store.ActorOf(ctx), (store.Actor{Kind: store.ActorKey, ID: "a\ufffd\ufffdb", From: "::1"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestActionsAreAll checks that Actions returns every constant whose name begins with Action.
func TestActionsAreAll(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "audit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Action") {
			declared = append(declared, strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`))
		}
		return true
	})
	listed := store.Actions()
	slices.Sort(declared)
	slices.Sort(listed)
	if len(listed) == 0 || !slices.Equal(declared, listed) {
		t.Errorf("Actions are %v, declared %v", listed, declared)
	}
}
