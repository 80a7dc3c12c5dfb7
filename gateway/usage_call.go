package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	reportTimeout   = 10 * time.Second
	reportAnswerMax = 4 << 10 // bytes
)

// A reportResult is the result of one report.
type reportResult int

const (
	reported       reportResult = iota
	reportFailed                // to be sent again
	reportRefused               // likewise: the key lacks permission, or the workspace does not exist
	reportRejected              // the server will never accept it, so its uses are dropped
)

var resultNames = [...]string{"ok", "failed", "refused", "rejected"}

// A reportError is an answer other than 200.
type reportError struct{ status int }

func (e *reportError) Error() string {
	switch e.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Sprintf("the server answers %d: the management key must be valid, have the scope gateway and not be tied to another workspace", e.status)
	case http.StatusNotFound:
		return "the server answers 404: the workspace does not exist, or the server is too old for usage reports"
	}
	return fmt.Sprintf("the server answers %d", e.status)
}

func resultOf(err error) reportResult {
	var answer *reportError
	switch {
	case err == nil:
		return reported
	case !errors.As(err, &answer):
		return reportFailed
	}
	switch answer.status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return reportRefused
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return reportRejected
	}
	return reportFailed
}

// usageReport is the body of the call.
type usageReport struct {
	Keys     []keyUse  `json:"keys"`
	Complete bool      `json:"complete"`
	Reporter string    `json:"reporter"`
	SentAt   time.Time `json:"sent_at"`
	Until    time.Time `json:"until"`
}

type keyUse struct {
	KID        string    `json:"kid"`
	LastUsedAt time.Time `json:"last_used_at"`
}

// send makes the call. It returns nil only if the server has processed every key.
func (g *Gateway) send(ctx context.Context, workspace string, some []use, report usageReport) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	key, err := g.o.UsageKey()
	if err != nil {
		return err
	}
	report.Keys = make([]keyUse, len(some))
	for i, u := range some {
		report.Keys[i] = keyUse{u.kid.String(), time.UnixMicro(u.at).UTC()}
	}
	text, err := json.Marshal(report)
	if err != nil {
		return err
	}
	target := strings.TrimRight(g.o.Server, "/") + "/v1/workspaces/" + workspace + "/usage"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.manage(req, key)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, reportAnswerMax))
	switch {
	case resp.StatusCode != http.StatusOK:
		return &reportError{resp.StatusCode}
	case err != nil:
		return err
	}
	var answer struct {
		Recorded *int `json:"recorded"`
		Unknown  *int `json:"unknown"`
	}
	if !read(text, &answer) || answer.Recorded == nil || answer.Unknown == nil || *answer.Recorded+*answer.Unknown != len(some) {
		return errors.New("invalid answer: it does not confirm every key")
	}
	return nil
}
