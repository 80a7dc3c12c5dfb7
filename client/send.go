package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/burnkey/burnkey/internal/loop"
)

const (
	maxAnswer  = 32 << 20               // bytes; a page of workspaces may take 16 MiB
	firstPause = 100 * time.Millisecond // after a failed connection; doubled each time
	maxPause   = 10 * time.Second       // if the server asks for a longer one, the call fails
)

// request is an API request, without the management key.
type request struct {
	method         string
	path           []string // after /v1/workspaces, or after /v1/keys
	anywhere       bool     // /v1/keys: the call is about the keys of all workspaces
	query          url.Values
	idempotencyKey string
	body           any  // nil: none
	repeatable     bool // whether sending it twice has the same effect and the same answer
}

// target joins the path elements. It returns an error for elements such as "..", which would lead to another
// call.
func (r *request) target() (string, error) {
	var path strings.Builder
	path.WriteString(map[bool]string{false: "/v1/workspaces", true: "/v1/keys"}[r.anywhere])
	for _, element := range r.path {
		if element == "" || element == "." || element == ".." {
			return "", errors.New(`invalid id: must not be empty, "." or ".."`)
		}
		path.WriteString("/" + url.PathEscape(element))
	}
	if len(r.query) > 0 {
		path.WriteString("?" + r.query.Encode())
	}
	return path.String(), nil
}

// answer is a successful answer.
type answer struct {
	header http.Header
	text   []byte
}

// send makes a request, and repeats it if that is safe and likely to help.
func (c *Client) send(ctx context.Context, r request) (*answer, error) {
	target, err := r.target()
	if err != nil {
		return nil, err
	}
	var body []byte
	if r.body != nil {
		if body, err = json.Marshal(r.body); err != nil {
			return nil, err
		}
	}
	for attempt := 0; ; attempt++ {
		answer, err := c.once(ctx, &r, c.o.Server+target, body)
		pause, helps := retryAfter(err, attempt)
		if err == nil || !helps || !r.repeatable || attempt >= c.o.Retries || loop.Sleep(ctx, pause) != nil {
			return answer, err
		}
	}
}

func (c *Client) once(ctx context.Context, r *request, target string, body []byte) (*answer, error) {
	key, err := c.o.Key()
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, r.method, target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	for name, value := range map[string]string{
		"Idempotency-Key": r.idempotencyKey, "User-Agent": c.o.UserAgent, "Content-Type": contentType(r.method, body),
	} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, &UnreachableError{err}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case response.StatusCode/100 != 2:
		return nil, ProblemOf(response, text)
	case err != nil:
		return nil, &UnreachableError{err}
	case len(text) > maxAnswer:
		return nil, fmt.Errorf("%w: longer than %d bytes", errAnswer, maxAnswer)
	}
	return &answer{response.Header, text}, nil
}

func contentType(method string, body []byte) string {
	switch {
	case body == nil:
		return ""
	case method == http.MethodPatch:
		return "application/merge-patch+json"
	}
	return "application/json"
}

// retryAfter returns how long to wait before repeating a request that failed with err, and whether to repeat it
// at all.
func retryAfter(err error, attempt int) (time.Duration, bool) {
	if problem := new(Problem); errors.As(err, &problem) {
		return problem.RetryAfter, problem.RetryAfter > 0 && problem.RetryAfter <= maxPause &&
			(problem.Status == http.StatusTooManyRequests || problem.Status == http.StatusServiceUnavailable)
	}
	dial := new(net.OpError)
	return min(firstPause<<attempt, maxPause), errors.As(err, &dial) && dial.Op == "dial"
}
