package client

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxPage is the maximum number of items in a page.
const MaxPage = 1000

// List is a list that the server returns in pages.
type List[T any] struct {
	c      *Client
	path   []string
	query  url.Values
	member string // of the answer, which has the items
}

// Page is a part of a list.
type Page[T any] struct {
	Items []T
	Next  string // cursor of the next page; empty on the last page
}

// Page returns up to limit items, at most MaxPage. An empty cursor requests the first page. A page with fewer
// items than limit, or none, is not necessarily the last.
func (l List[T]) Page(ctx context.Context, limit int, cursor string) (*Page[T], error) {
	answer, err := l.c.send(ctx, request{method: http.MethodGet, path: l.path, query: pageQuery(l.query, limit, cursor), repeatable: true})
	if err != nil {
		return nil, err
	}
	var members map[string]jsontext.Value
	if err := decode(answer.text, &members); err != nil {
		return nil, err
	}
	list, ok := items[T](members[l.member])
	var next *string
	if !ok || decode(members["next_cursor"], &next) != nil {
		return nil, fmt.Errorf("%w: not a list of %s", errAnswer, l.member)
	}
	page := &Page[T]{Items: list}
	if next != nil {
		page.Next = *next
	}
	return page, nil
}

// All returns all items and fetches pages as needed. It ends after an error.
func (l List[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for cursor, more := "", true; more; {
			page, err := l.Page(ctx, MaxPage, cursor)
			if err == nil && page.Next == cursor && cursor != "" {
				err = fmt.Errorf("%w: the list of %s has no end", errAnswer, l.member)
			}
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			cursor, more = page.Next, page.Next != ""
		}
	}
}

func pageQuery(filter url.Values, limit int, cursor string) url.Values {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	maps.Copy(query, filter)
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	return query
}

// filter returns the parameters that are set.
func filter(parameters map[string]string) url.Values {
	query := make(url.Values)
	for name, value := range parameters {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}
