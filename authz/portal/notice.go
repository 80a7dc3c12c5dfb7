package portal

import (
	"net/url"
	"strconv"
	"time"
)

// noticeLife is how long a page shows what was just done. Later, the notice may be wrong.
const noticeLife = time.Minute

// done returns a query that makes a page show a notice of the action `what` on the object `to`. The query
// is valid only in this session, so nobody else can make a link to a false notice.
func (v *visit) done(what, to string) string {
	at := strconv.FormatInt(v.now().Unix(), 36)
	return "?" + url.Values{"done": {what}, "at": {at}, "seal": {v.seal(what, to, at)}}.Encode()
}

func (v *visit) seal(what, to, at string) string {
	return v.derive("done\x00" + v.workspace.ID + "\x00" + what + "\x00" + to + "\x00" + at)[:22]
}

// notice returns the notice requested by the query of done, or an empty string if the query is about
// something else.
func (v *visit) notice(to string, whats ...string) string {
	given := v.r.URL.Query()
	at, err := strconv.ParseInt(given.Get("at"), 36, 64)
	if age := v.now().Sub(time.Unix(at, 0)); err != nil || age < -time.Second || age > noticeLife {
		return ""
	}
	for _, what := range whats {
		if given.Get("done") == what && equal(given.Get("seal"), v.seal(what, to, given.Get("at"))) {
			return v.language.Text("done." + what)
		}
	}
	return ""
}
