package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/deploy/envoy"
)

// audienceFlags say for which API tokens have to be.
func audienceFlags(flags *pflag.FlagSet, audiences *[]string, anyAudience *bool) {
	flags.StringSliceVar(audiences, "audience", nil, "aud of which a token must name one; may be repeated")
	flags.BoolVar(anyAudience, "any-audience", false, "accept a token for any audience of its workspace, in place of --audience")
}

func managementFlag(flags *pflag.FlagSet, insecure *bool) {
	flags.BoolVar(insecure, "insecure-management-keys", false,
		"permit --workspace burnkey: whatever is behind the gateway then receives management keys")
}

// asFlag words the error of a rendering by the flag, as it was given.
func asFlag(flags *pflag.FlagSet, err error) error {
	if bad := new(envoy.FieldError); errors.As(err, &bad) {
		return fmt.Errorf("%s: %s", asGiven(flags, bad.Flag), bad.Detail)
	}
	return err
}

// checkAccepted holds the flags to a choice of audience, and to leave out the server's
// own workspace.
func (s *gatewayService) checkAccepted() error {
	if err := envoy.CheckManagement(s.workspaces, s.management); err != nil {
		return asFlag(s.flags, err)
	}
	return asFlag(s.flags, envoy.CheckChoice(s.audiences, s.anyAudience))
}
