package oidc

// Error is the reason why a person was not logged in.
type Error struct {
	Reason string // a word for the audit: one of the constants, or the part of the answer that is invalid
	Err    error  // details for the log, or nil
}

func (e *Error) Error() string {
	if e.Err == nil {
		return "login: " + e.Reason
	}
	return "login: " + e.Reason + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Reasons that callers distinguish.
const (
	BadState    = "state"    // the answer belongs to no login
	BadProvider = "provider" // the provider is down or misconfigured
	Denied      = "denied"   // by the provider or by the person
	NoOwner     = "owner"    // the claims name no owner
	NoOperator  = "operator" // the claims name no operator, and the workspace has no owners
)
