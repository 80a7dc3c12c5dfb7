package portal

import (
	"net/url"
	"strconv"
	"time"
)

// noticeLife is for how long a page says what was just done: somebody may come back to
// its address when it is no longer so.
const noticeLife = time.Minute

// done is the query by which the page that follows on a form says what was done to
// something. Only who is in this session can have got it: a link of somebody else's can't
// make a page say what has not happened.
func (v *visit) done(what, to string) string {
	at := strconv.FormatInt(v.now().Unix(), 36)
	return "?" + url.Values{"done": {what}, "at": {at}, "seal": {v.seal(what, to, at)}}.Encode()
}

func (v *visit) seal(what, to, at string) string {
	return v.derive("done\x00" + v.workspace.ID + "\x00" + what + "\x00" + to + "\x00" + at)[:22]
}

// notice is what the query says was just done to something, if it is one of these.
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
