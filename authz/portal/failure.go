package portal

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/burnkey/burnkey/authz"
	"github.com/burnkey/burnkey/authz/portal/oidc"
	"github.com/burnkey/burnkey/store"
)

// failure is an error with its own page. The page's messages are fail.NAME.title and fail.NAME.text.
type failure struct {
	status int
	name   string
	retry  time.Duration // when to try again; 0: unknown
	made   string        // id of the key that a repeated form has created, or empty
}

func (f *failure) Error() string { return "the page fails: " + f.name }

var (
	errNowhere   = &failure{status: http.StatusNotFound, name: "nowhere"}
	errLink      = &failure{status: http.StatusGone, name: "link"}
	errFramed    = &failure{status: http.StatusForbidden, name: "framed"}    // a link in a frame, without frame_ancestors
	errForbidden = &failure{status: http.StatusForbidden, name: "forbidden"} // the session is not an owner's
	errStaff     = &failure{status: http.StatusForbidden, name: "staff"}     // the session is not an operator's
	errHome      = &failure{status: http.StatusForbidden, name: "home"}      // management keys have no pages
	errToken     = &failure{status: http.StatusBadRequest, name: "token"}    // a token in an address
	errForeign   = &failure{status: http.StatusForbidden, name: "foreign"}   // the form of another site or session
	errForm      = &failure{status: http.StatusBadRequest, name: "form"}     // the form can't be read
)

type failurePage struct {
	Name, Made, RequestID string
	LogIn                 string // message of the link to the login, or empty
}

// soon is when a client should retry after a temporary failure.
const soon = time.Second

// failureOf maps every error to a failure to show. If broken is true, the error was unexpected: the page
// does not explain it, and it must be logged.
func (v *visit) failureOf(err error) (f *failure, broken bool) {
	var (
		own      *failure
		long     *http.MaxBytesError
		repeated *store.IdempotencyError
		login    *oidc.Error
		spent    *authz.BudgetError
		crowded  *authz.CrowdedError
	)
	later := func(name string) *failure {
		return &failure{status: http.StatusServiceUnavailable, name: name, retry: soon}
	}
	switch err = authz.Ended(v.r.Context(), err); {
	case errors.As(err, &login): // takes precedence over its cause
		return loginFailure(login)
	case errors.As(err, &own):
		return own, false
	case errors.Is(err, authz.ErrNotFound):
		return errNowhere, false
	case errors.Is(err, authz.ErrNoSession):
		return &failure{status: http.StatusUnauthorized, name: v.withoutSession()}, false
	case errors.As(err, &long):
		return &failure{status: http.StatusRequestEntityTooLarge, name: "large"}, false
	case errors.As(err, &repeated):
		return &failure{status: http.StatusConflict, name: "repeated", made: repeated.ID.String()}, false
	case errors.Is(err, authz.ErrNotActive):
		return &failure{status: http.StatusConflict, name: "state"}, false
	case errors.Is(err, authz.ErrTooMany):
		return &failure{status: http.StatusConflict, name: "many"}, false
	case errors.Is(err, authz.ErrBusy):
		return &failure{status: http.StatusServiceUnavailable, name: "busy", retry: authz.RetryAfter(err)}, false
	case errors.As(err, &spent):
		return &failure{status: http.StatusTooManyRequests, name: "often", retry: spent.After}, false
	case errors.As(err, &crowded):
		return later("crowded"), false
	case errors.Is(err, authz.ErrTooSlow):
		return later("slow"), false
	case errors.Is(err, errPanic):
		return &failure{status: http.StatusInternalServerError, name: "broken"}, true
	}
	return later("broken"), true
}

// withoutSession returns the failure's name for a request without a session: "session" if a cookie shows
// that the session has ended, otherwise "nobody".
func (v *visit) withoutSession() string {
	if v.session.Workspace != "" {
		return "session" // the session ended during the request
	}
	for _, c := range v.shownHere() {
		if v.opened[c.secret].Workspace == "" {
			return "session"
		}
	}
	return "nobody"
}

// fail answers with an error's page.
func (v *visit) fail(err error) {
	if err = authz.Ended(v.r.Context(), err); errors.Is(err, context.Canceled) && v.r.Context().Err() != nil {
		return // the browser has gone
	}
	f, broken := v.failureOf(err)
	if broken {
		v.log.LogAttrs(v.r.Context(), slog.LevelError, "a page of the portal failed",
			slog.String("request_id", v.requestID()), slog.String("error", err.Error()))
	}
	v.retryAfter(f.retry)
	shown := failurePage{Name: f.name, Made: f.made, LogIn: v.loginAfter(f)}
	if broken {
		shown.RequestID = v.requestID()
	}
	if err := v.render(f.status, "failure", "fail."+f.name+".title", shown); err != nil {
		v.log.Error("cannot render a page of the portal", "request_id", v.requestID(), "error", err)
		http.Error(v.w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
}

func (v *visit) retryAfter(d time.Duration) {
	if d > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
}
