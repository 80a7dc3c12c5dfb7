package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
	"github.com/labstack/echo/v4"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/store"
)

const problemType = "application/problem+json"

// retryAfter is the Retry-After, in seconds, of failures that are probably temporary.
const retryAfter = "1"

// Problem is the body of every error (RFC 9457).
type Problem struct {
	Type   string  `json:"type" doc:"Address of a page about this kind of problem" format:"uri"`
	Title  string  `json:"title" doc:"The kind of problem in words"`
	Status int     `json:"status" doc:"The HTTP status"`
	Detail string  `json:"detail" doc:"The cause, in words"`
	Code   string  `json:"code" doc:"Stable name of the kind of problem, for programs to compare"`
	Errors []Field `json:"errors,omitempty" nullable:"false" doc:"Invalid fields of the input"`
	// OAuth is the member error of RFC 6749 section 5.2.
	OAuth string `json:"error,omitempty" doc:"Error code of RFC 6749 section 5.2 (calls of OAuth clients only)"`
	// KeyID is the id of another key than that of the call.
	KeyID string `json:"key_id,omitempty" doc:"The key issued earlier under this Idempotency-Key, or the successor of a rotated key"`

	header http.Header
}

// Field is one invalid field of the input.
type Field struct {
	Field  string `json:"field" doc:"The member, parameter or header at fault; body for the whole body"`
	Code   string `json:"code,omitempty" example:"too_long"`
	Detail string `json:"detail" doc:"The broken rule in words, without the value"`
}

func newProblem(k *Kind, detail string) *Problem {
	return &Problem{Title: k.Title, Status: k.Status, Code: k.Code, Detail: detail}
}

// with adds a response header.
func (p *Problem) with(name, value string) *Problem {
	if p.header == nil {
		p.header = make(http.Header)
	}
	p.header.Set(name, value)
	return p
}

func (p *Problem) field(name, detail string) *Problem {
	p.Errors = append(p.Errors, Field{Field: name, Detail: detail})
	return p
}

// unavailable returns the problem of a failure that is probably temporary.
func unavailable(k *Kind, detail string) *Problem {
	return newProblem(k, detail).with("Retry-After", retryAfter)
}

// overQuota returns the problem of a caller that has used up its quota
// (draft-ietf-httpapi-ratelimit-headers section 8.1).
func overQuota(detail string, wait time.Duration) *Problem {
	p := newProblem(kindQuota, detail).with("Retry-After", wholeSeconds(wait))
	p.Type = quotaType
	return p
}

// quotaType is the type that is registered for problems of a quota.
const quotaType = "https://iana.org/assignments/http-problem-types#quota-exceeded"

func wholeSeconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// Error, GetStatus, GetHeaders and ContentType implement huma's interfaces.
func (p *Problem) Error() string             { return p.Detail }
func (p *Problem) GetStatus() int            { return p.Status }
func (p *Problem) GetHeaders() http.Header   { return p.header }
func (p *Problem) ContentType(string) string { return problemType }

// write sends the problem, unless an answer has already begun.
func (a *api) write(c echo.Context, p *Problem) error {
	if c.Response().Committed {
		return nil
	}
	// Without this header, caches may store an answer such as a 404 (RFC 9111 section 4.2.2).
	c.Response().Header().Set("Cache-Control", "no-store")
	for name, values := range p.header {
		c.Response().Header()[name] = values
	}
	body, err := json.Marshal(a.typed(p))
	if err != nil {
		return err
	}
	return c.Blob(p.Status, problemType, body)
}

// problem is the only function that converts errors to answers. It logs internal errors, and does not show
// their details to the client.
func (a *api) problem(ctx context.Context, err error) *Problem {
	var (
		ready    *Problem
		input    authz.InputError
		repeated *store.IdempotencyError
		state    *authz.StateError
		limit    *authz.LimitError
		decided  *authz.DecidedError
		open     *authz.RequestsFullError
		httpErr  *echo.HTTPError
		tooLong  *http.MaxBytesError
		unknown  *authz.UsageError
		spent    *authz.BudgetError
		crowded  *authz.CrowdedError
		full     *authz.LimitsFullError
	)
	err = authz.Ended(ctx, err)
	switch {
	case errors.As(err, &ready):
		return ready
	case errors.As(err, &input):
		p := newProblem(kindInvalid, "The input is not valid.")
		for _, f := range input {
			p.Errors = append(p.Errors, Field{f.Field, f.Code, f.Detail()})
		}
		return p
	case errors.As(err, &repeated):
		return ofRepeated(repeated)
	case errors.As(err, &tooLong):
		return newProblem(kindTooLarge, "The body is too long.").
			field("body", "must be at most "+strconv.FormatInt(tooLong.Limit, 10)+" bytes")
	case errors.Is(err, authz.ErrNotFound):
		return newProblem(kindNotFound, "There is no such workspace or key.")
	case errors.As(err, &state):
		return ofState(state)
	case errors.As(err, &limit):
		return ofLimit(limit)
	case errors.As(err, &decided):
		return ofDecided(decided)
	case errors.As(err, &open):
		return ofFullRequests(open)
	case errors.Is(err, authz.ErrNotOffered):
		return newProblem(kindNotOffered, "The workspace no longer has the plan, or no longer offers the scopes. Decline the request.")
	case errors.Is(err, authz.ErrRequestExists):
		return newProblem(kindRequestOpen, "The key has an open request of this kind. Withdraw it first.")
	case errors.As(err, &spent):
		a.service.HoldTurnedAway(ctx)
		return overQuota("This management key has made too many changes.", spent.After)
	case errors.As(err, &unknown):
		return newProblem(kindUsageUnknown, sentence(err)).
			field("unused_for", "is longer than the time for which the use of keys is known")
	case errors.Is(err, authz.ErrPlanExists):
		return newProblem(kindPlanExists, "A plan with this name already exists.").field("name", "already exists")
	case errors.Is(err, authz.ErrInUse):
		return newProblem(kindPlanInUse, "Keys that are neither revoked nor expired have the plan. Give them another plan first.")
	case errors.Is(err, authz.ErrInherited):
		return newProblem(kindInherited, "The plan is that of the environment's first workspace. Delete it there, or change it here.")
	case errors.As(err, &full):
		return ofFullLimits(full)
	case errors.Is(err, authz.ErrExists):
		return newProblem(kindExists, "A workspace with this id already exists.").
			field("id", "already exists")
	case errors.Is(err, authz.ErrUnauthenticated):
		return newProblem(kindInvalidKey, "The management key is not valid.").
			with("WWW-Authenticate", `Bearer realm="burnkey", error="invalid_token"`)
	case errors.Is(err, authz.ErrForbidden):
		return newProblem(kindForbidden, sentence(err)).
			with("WWW-Authenticate", `Bearer realm="burnkey", error="insufficient_scope"`)
	case errors.Is(err, authz.ErrBusy):
		a.service.HoldTurnedAway(ctx)
		return newProblem(kindMinting, "Too many keys are being made at the moment.").
			with("Retry-After", wholeSeconds(authz.RetryAfter(err)))
	case errors.As(err, &crowded):
		a.service.HoldTurnedAway(ctx)
		if crowded.Reason == "caller" {
			return overQuota("This management key has too many lists and searches in progress.", time.Second)
		}
		return unavailable(kindReads, "Too many lists and searches are in progress.")
	case errors.Is(err, authz.ErrTooSlow):
		return unavailable(kindTooSlow, "The search took too long; narrow it by owner.")
	case errors.As(err, &httpErr):
		return ofEcho(httpErr)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return newProblem(kindClientClosed, "The client has gone.")
	}
	a.log.LogAttrs(ctx, slog.LevelError, "a request failed",
		slog.String("request_id", requestID(ctx)), slog.String("error", err.Error()))
	if errors.Is(err, errPanic) {
		return newProblem(kindInternal, "Internal error; find the request id in the log.")
	}
	// All remaining errors come from the database or the minting processes.
	return unavailable(kindUnavailable, "This is not possible at the moment; find the request id in the log.")
}

// ofEcho maps the router's own errors.
func ofEcho(err *echo.HTTPError) *Problem {
	switch err.Code {
	case http.StatusNotFound:
		return newProblem(kindNoPath, "This path does not exist.")
	case http.StatusMethodNotAllowed:
		return newProblem(kindNoMethod, "This path does not support this method.")
	default:
		return newProblem(kindOf(err.Code), http.StatusText(err.Code)+".")
	}
}

func sentence(err error) string {
	text := err.Error()
	if text == "" { // huma asks for an error without a text to learn its type
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

func init() {
	// Problems replace huma's own errors, and never repeat a value, since it could be a misplaced secret.
	huma.NewError = func(status int, detail string, errs ...error) huma.StatusError {
		p := newProblem(kindOf(status), sentence(errors.New(detail)))
		switch {
		case status == http.StatusBadRequest && len(errs) == 0:
			return p.field("body", "is required")
		case status == http.StatusUnprocessableEntity, status == http.StatusBadRequest:
			p.Detail = "The input is not valid."
		}
		for _, err := range errs[:min(len(errs), maxFaults)] {
			if detail, ok := err.(huma.ErrorDetailer); ok {
				p.Errors = append(p.Errors, fieldOf(detail.ErrorDetail()))
			}
		}
		return p
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, detail string, errs ...error) huma.StatusError {
		if status == http.StatusUnsupportedMediaType {
			return notTaken(ctx.Operation().RequestBody)
		}
		return huma.NewError(status, detail, errs...)
	}
	huma.ValidateStrictCasing = true
	validation.MsgExpectedMinimumNumber = "must be at least %.0f"
	validation.MsgExpectedMaximumNumber = "must be at most %.0f"
	validation.MsgExpectedMinLength = "must be at least %d characters"
	validation.MsgExpectedMaxLength = "must be at most %d characters"
	validation.MsgExpectedMinItems = "must have at least %d items"
	validation.MsgExpectedMaxItems = "must have at most %d items"
	validation.MsgExpectedMatchPattern = "must match the pattern %s"
}

// notTaken returns the problem of a media type that is not accepted. It lists the accepted types.
func notTaken(body *huma.RequestBody) *Problem {
	types := strings.Join(slices.Sorted(maps.Keys(body.Content)), " or ")
	return newProblem(kindMediaType, "The body must be "+types+".").field("Content-Type", "must be "+types)
}

// maxFieldName bounds the part of a member's name that an answer repeats. A client could send a token as a
// name, so the bound is shorter than a token's header.
const maxFieldName = 64

// maxFaults bounds the faults in an answer, which would otherwise be many times as long as a malicious body.
const maxFaults = 32

// mustBeTime replaces huma's messages about invalid times, one of which shows a time layout of Go.
const mustBeTime = "must be a time of RFC 3339, such as 2026-01-31T12:00:00Z"

// mustBeLogo replaces huma's message about invalid base64, which only the logo can contain.
const mustBeLogo = "must be a PNG picture in base64"

var (
	missing = regexp.MustCompile(`^expected required property (\S+) to be present$`)
	worded  = strings.NewReplacer(
		"must be at least 1 characters", "must not be empty",
		"must have at least 1 items", "must not be empty",
		"unexpected property", "is not a known member",
		"unknown query parameter", "is not a known parameter",
		"expected value to be", "must be",
		"expected string to", "must",
		"expected number", "must be a number",
		"expected integer", "must be a whole number",
		"expected string", "must be a string",
		"expected boolean", "must be true or false",
		"expected object", "must be an object",
		"expected array", "must be a list",
		"expected", "must be",
	)
)

// fieldOf converts an error of huma.
func fieldOf(d *huma.ErrorDetail) Field {
	where, name, _ := strings.Cut(d.Location, ".")
	message := d.Message
	if detail, member, ok := strings.Cut(message, readFaultSeparator); ok {
		message, name = detail, member
	}
	if strings.HasPrefix(message, "invalid date/time ") || message == "expected string to be RFC 3339 date-time" {
		message = mustBeTime
	}
	if message == "expected string to be base64 encoded" {
		message = mustBeLogo
	}
	if m := missing.FindStringSubmatch(message); m != nil {
		message = "is required"
		name = strings.TrimPrefix(name+"."+m[1], ".")
	}
	if name == "" {
		name = where
	}
	return Field{Field: clip(name), Detail: worded.Replace(message)}
}

func clip(name string) string {
	if len(name) > maxFieldName {
		name = name[:maxFieldName] + "…"
	}
	return strings.ToValidUTF8(name, "")
}
