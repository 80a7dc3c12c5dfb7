package api_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/burnkey/burnkey/authz/mint"
)

func TestMain(m *testing.M) {
	// The tests with a real Minter start this very binary as minting process.
	if mint.IsProcess(os.Args) {
		os.Exit(mint.Process())
	}
	goleak.VerifyTestMain(m)
}
