package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/burnkey/burnkey/deploy/envoy"
)

// audienceFlags adds the flags for the accepted audiences.
func audienceFlags(flags *pflag.FlagSet, audiences *[]string, anyAudience *bool) {
	flags.StringSliceVar(audiences, "audience", nil, "audience that a token must have; if repeated, one of them is enough")
	flags.BoolVar(anyAudience, "any-audience", false, "accept every audience of the workspace, instead of --audience")
}

func managementFlag(flags *pflag.FlagSet, insecure *bool) {
	flags.BoolVar(insecure, "insecure-management-keys", false,
		"allow --workspace burnkey: the API behind the gateway then receives management keys")
}

// asFlag makes a FieldError name the variable if the flag was set by it.
func asFlag(flags *pflag.FlagSet, err error) error {
	if bad := new(envoy.FieldError); errors.As(err, &bad) {
		return fmt.Errorf("%s: %s", asGiven(flags, bad.Flag), bad.Detail)
	}
	return err
}
