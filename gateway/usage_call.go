package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/burnkey/burnkey/client"
)

const reportTimeout = 10 * time.Second

// A reportResult is the result of one report.
type reportResult int

const (
	reported       reportResult = iota
	reportFailed                // to be sent again
	reportRefused               // to be sent again later: the key lacks permission, or the workspace does not exist
	reportRejected              // the server will never accept it, so its uses are dropped
)

var resultNames = [...]string{"ok", "failed", "refused", "rejected"}

// send reports uses and returns the result. The error is nil only if the result is reported.
func (g *Gateway) send(ctx context.Context, workspace string, some []use, left [][]client.LeftLimit,
	report client.UsageReport,
) (reportResult, error) {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	report.Keys = make([]client.KeyUse, len(some))
	for i := range some {
		report.Keys[i] = client.KeyUse{KID: some[i].kid.String(), LastUsedAt: time.UnixMicro(some[i].at).UTC()}
		if left != nil {
			report.Keys[i].Limits = left[i]
		}
	}
	_, err := g.usageServer.ReportUsage(ctx, workspace, report)
	switch {
	case err == nil:
		return reported, nil
	case isStatus(err, http.StatusUnauthorized, http.StatusForbidden):
		return reportRefused, fmt.Errorf("the management key must be valid, have the scope gateway and not be tied to another workspace: %w", err)
	case isStatus(err, http.StatusNotFound):
		return reportRefused, fmt.Errorf("the workspace does not exist, or the server is too old for usage reports: %w", err)
	case isStatus(err, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity):
		return reportRejected, err
	}
	return reportFailed, err
}

// isStatus reports whether err is a Problem with one of the statuses.
func isStatus(err error, statuses ...int) bool {
	var answer *client.Problem
	return errors.As(err, &answer) && slices.Contains(statuses, answer.Status)
}
