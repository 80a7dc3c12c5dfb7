package api_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(portaltest.Main(m))
}
