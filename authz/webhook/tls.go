package webhook

import (
	"crypto/tls"
	"errors"
	"net/http"
)

// isTLS reports whether an error comes from TLS: an untrusted certificate, an alert of the other side, or
// an answer that is not TLS.
func isTLS(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		header      tls.RecordHeaderError
		alert       tls.AlertError
	)
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &certificate) || errors.As(err, &header) || errors.As(err, &alert)
}
