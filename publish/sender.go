package publish

import (
	"errors"
	"net/http"
	"time"

	"github.com/burnkey/burnkey/jwks"
)

// sender sends events to one reader.
type sender struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	window time.Duration // time limit of a write
	until  time.Time     // the write deadline
	begun  bool          // the header has been sent
	public bool          // a page of any origin may read it
}

func newSender(w http.ResponseWriter, window time.Duration, public bool) sender {
	return sender{w: w, rc: http.NewResponseController(w), window: window, public: public}
}

// send sends the events, and before them the header if it was not sent yet.
func (d *sender) send(events ...[]byte) error {
	if err := d.extend(time.Now()); err != nil {
		return err
	}
	if !d.begun {
		head := d.w.Header()
		head.Set("Content-Type", jwks.StreamType)
		head.Set("Cache-Control", "no-store, no-transform")
		head.Set("X-Accel-Buffering", "no") // otherwise nginx buffers events
		head.Set("X-Content-Type-Options", "nosniff")
		if d.public {
			head.Set("Access-Control-Allow-Origin", "*")
		}
		d.w.WriteHeader(http.StatusOK)
		d.begun = true
	}
	for _, event := range events {
		if _, err := d.w.Write(event); err != nil {
			return err
		}
	}
	return d.rc.Flush()
}

// extend renews the write deadline once a quarter of the window has passed. Renewing it at each heartbeat
// would add a tenth to a heartbeat's cost.
func (d *sender) extend(now time.Time) error {
	if d.until.Sub(now) > d.window*3/4 {
		return nil
	}
	d.until = now.Add(d.window)
	if err := d.rc.SetWriteDeadline(d.until); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
