package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/authz/api"
)

// client calls a running server's management API.
type client struct {
	server  string
	keyFile string
	given   *pflag.FlagSet // for errors that name a flag as given; may be nil
}

const (
	clientTimeout = 2 * time.Minute // a key may wait for its turn
	clientMaxBody = 64 << 20
)

func (c *client) flags(cmd *cobra.Command) {
	serverFlag(cmd, &c.server)
	c.given = cmd.PersistentFlags()
	cmd.PersistentFlags().StringVar(&c.keyFile, "key-file", "", "`FILE` with a management key (or put the key itself in BURNKEY_KEY)")
}

func serverFlag(cmd *cobra.Command, server *string) {
	cmd.PersistentFlags().StringVar(server, "server", "http://127.0.0.1:8080", "`URL` of the server")
}

// credential returns the management key. It is never taken from the command
// line, which every user of the machine can read.
func (c *client) credential() (string, error) {
	if c.keyFile == "" {
		if key := strings.TrimSpace(os.Getenv("BURNKEY_KEY")); key != "" {
			return readKey("BURNKEY_KEY", key)
		}
		return "", errors.New("no management key: name a file with --key-file or BURNKEY_KEY_FILE, or put the key in BURNKEY_KEY")
	}
	flag := "--key-file"
	if c.given != nil {
		flag = asGiven(c.given, "key-file")
	}
	return readKeyFile(flag, c.keyFile)
}

// call makes one request; in and answer may be nil. It returns the answer's
// text as it came.
func (c *client) call(ctx context.Context, method, path string, query url.Values, header http.Header, in, answer any) ([]byte, error) {
	key, err := c.credential()
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(strings.TrimRight(c.server, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, errors.New("--server: must be http(s)://HOST[:PORT]")
	}
	target := base.JoinPath(path)
	target.RawQuery = query.Encode()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	text, err := send(request)
	if unreached := new(url.Error); errors.As(err, &unreached) {
		return nil, fmt.Errorf("--server: %w", unreached)
	}
	if err != nil || answer == nil {
		return text, err
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return nil, fmt.Errorf("the server's answer does not read: %w", err)
	}
	return text, nil
}

// httpError is an answer that is no success.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

// send returns the body of a successful answer.
func send(request *http.Request) ([]byte, error) {
	h := http.Client{
		Timeout: clientTimeout,
		// A redirect would carry the key to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := h.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, clientMaxBody))
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, &httpError{response.StatusCode, describe(response, text)}
	}
	return text, nil
}

// describe words a refusal.
func describe(response *http.Response, text []byte) string {
	var problem api.Problem
	if json.Unmarshal(text, &problem) != nil || problem.Detail == "" {
		return "the server answered " + response.Status
	}
	lines := []string{fmt.Sprintf("%s (%s)", problem.Detail, response.Status)}
	for _, f := range problem.Errors {
		lines = append(lines, "  "+f.Field+": "+f.Detail)
	}
	return strings.Join(lines, "\n")
}

// pageMax is the most that one call lists.
const pageMax = 1000

// listing is what was listed, as far as the limit went.
type listing[T any] struct {
	items []T
	text  []byte // of all pages together, as one
	more  bool
}

// list reads as many pages as it takes for limit items; 0 means all.
func list[T any](ctx context.Context, c *client, path string, query url.Values, member string, limit int) (*listing[T], error) {
	if limit < 0 {
		return nil, errors.New("--limit: must be 0 (all) or more")
	}
	if query == nil {
		query = make(url.Values)
	}
	items := []json.RawMessage{}
	var next *string
	for first := true; first || next != nil && (limit == 0 || len(items) < limit); first = false {
		n := pageMax
		if limit > 0 {
			n = min(pageMax, limit-len(items))
		}
		query.Set("limit", strconv.Itoa(n))
		if next != nil {
			query.Set("cursor", *next)
		}
		var page map[string]json.RawMessage
		if _, err := c.call(ctx, http.MethodGet, path, query, nil, nil, &page); err != nil {
			return nil, err
		}
		var got []json.RawMessage
		next = nil
		if err := errors.Join(json.Unmarshal(page[member], &got), json.Unmarshal(page["next_cursor"], &next)); err != nil {
			return nil, fmt.Errorf("the server's answer does not read: %w", err)
		}
		items = append(items, got...)
	}
	text, err := json.Marshal(map[string]any{member: items, "next_cursor": next})
	if err != nil {
		return nil, err
	}
	l := &listing[T]{text: text, more: next != nil, items: make([]T, len(items))}
	for i, item := range items {
		if err := json.Unmarshal(item, &l.items[i]); err != nil {
			return nil, fmt.Errorf("the server's answer does not read: %w", err)
		}
	}
	return l, nil
}

// show prints the rows, and says so where they are not all.
func (l *listing[T]) show(cmd *cobra.Command, out *output, rows [][]string) error {
	if err := out.show(cmd, l.text, rows); err != nil {
		return err
	}
	return l.hint(cmd)
}

// hint says where there are more than were listed.
func (l *listing[T]) hint(cmd *cobra.Command) error {
	if !l.more {
		return nil
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), "There are more: --limit 0 lists all.")
	return err
}
