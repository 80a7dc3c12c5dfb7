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

// What a visit can come to, beside the errors of authz.
var (
	errNowhere   = errors.New("there is no such page")
	errLink      = errors.New("the link is used or over")
	errFramed    = errors.New("the link is opened in a frame of a page that may have none")
	errForbidden = errors.New("the session is no owner's")
	errStaff     = errors.New("the session is no operator's")
	errHome      = errors.New("the management keys are on no page")
	errToken     = errors.New("a token is in an address")
	errForeign   = errors.New("the form is no page's of ours")
	errForm      = errors.New("the form can't be read")
)

// failure is a page that says what is wrong. Its texts are fail.NAME.title and
// fail.NAME.text.
type failure struct {
	status int
	name   string
	// retry is when to come again; 0: no time is known.
	retry time.Duration
	// made is the key that a repeated form has made, or empty.
	made string
}

// failurePage is the content of a failure's page.
type failurePage struct {
	Name, Made, RequestID string
	LogIn                 string // the message of a way to the login, or empty
}

// soon is when what should pass is to be tried again.
const soon = time.Second

// failureOf is the one place where errors become answers. What it returns as broken is
// none of the reader's business, and is logged.
func (v *visit) failureOf(err error) (f failure, broken bool) {
	var (
		long     *http.MaxBytesError
		repeated *store.IdempotencyError
		login    *oidc.Error
		deferred *loginsDeferred
		spent    *authz.BudgetError
		crowded  *authz.CrowdedError
	)
	switch err = authz.Ended(v.r.Context(), err); {
	case errors.As(err, &login): // takes precedence over its cause
		return loginFailure(login)
	case errors.As(err, &deferred):
		return failure{status: http.StatusTooManyRequests, name: "login.many", retry: deferred.after}, false
	case errors.Is(err, errNowhere), errors.Is(err, authz.ErrNotFound), errors.Is(err, errNoLogin):
		return failure{status: http.StatusNotFound, name: "nowhere"}, false
	case errors.Is(err, errLink):
		return failure{status: http.StatusGone, name: "link"}, false
	case errors.Is(err, errFramed):
		return failure{status: http.StatusForbidden, name: "framed"}, false
	case errors.Is(err, authz.ErrNoSession):
		return failure{status: http.StatusUnauthorized, name: v.withoutSession()}, false
	case errors.Is(err, errForbidden):
		return failure{status: http.StatusForbidden, name: "forbidden"}, false
	case errors.Is(err, errStaff):
		return failure{status: http.StatusForbidden, name: "staff"}, false
	case errors.Is(err, errHome):
		return failure{status: http.StatusForbidden, name: "home"}, false
	case errors.Is(err, errToken):
		return failure{status: http.StatusBadRequest, name: "token"}, false
	case errors.Is(err, errForeign):
		return failure{status: http.StatusForbidden, name: "foreign"}, false
	case errors.Is(err, errForm):
		return failure{status: http.StatusBadRequest, name: "form"}, false
	case errors.As(err, &long):
		return failure{status: http.StatusRequestEntityTooLarge, name: "large"}, false
	case errors.As(err, &repeated):
		return failure{status: http.StatusConflict, name: "repeated", made: repeated.ID.String()}, false
	case errors.Is(err, authz.ErrNotActive):
		return failure{status: http.StatusConflict, name: "state"}, false
	case errors.Is(err, authz.ErrTooMany):
		return failure{status: http.StatusConflict, name: "many"}, false
	case errors.Is(err, authz.ErrBusy):
		return failure{status: http.StatusServiceUnavailable, name: "busy", retry: authz.RetryAfter(err)}, false
	case errors.As(err, &spent):
		return failure{status: http.StatusTooManyRequests, name: "often", retry: spent.After}, false
	case errors.As(err, &crowded):
		return failure{status: http.StatusServiceUnavailable, name: "crowded", retry: soon}, false
	case errors.Is(err, authz.ErrTooSlow):
		return failure{status: http.StatusServiceUnavailable, name: "slow", retry: soon}, false
	case errors.Is(err, errPanic):
		return failure{status: http.StatusInternalServerError, name: "broken"}, true
	}
	return failure{status: http.StatusServiceUnavailable, name: "broken", retry: soon}, true
}

// withoutSession tells those whose session is over, whose browser still shows its cookie,
// from who has none yet, or one of another workspace.
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

// fail answers with the page of an error.
func (v *visit) fail(err error) {
	if err = authz.Ended(v.r.Context(), err); errors.Is(err, context.Canceled) && v.r.Context().Err() != nil {
		return // nobody is there to read it
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
		v.log.Error("a page of the portal can't be rendered", "request_id", v.requestID(), "error", err)
		http.Error(v.w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	}
}

func (v *visit) retryAfter(d time.Duration) {
	if d > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
}
