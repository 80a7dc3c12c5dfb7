package doctor

import (
	"slices"
	"testing"
)

func TestPlainSwaps(t *testing.T) {
	const swaps = "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 1 0 100\n/dev/dm-1 partition 1 0 -2\n/swapfile file 1 0 -3\n"
	mapper := func(device string) string { return map[string]string{"/dev/dm-1": "CRYPT-PLAIN-swap"}[device] }
	if got := plainSwaps(swaps, mapper); !slices.Equal(got, []string{"/swapfile"}) {
		t.Errorf("%q", got)
	}
	if got := plainSwaps("Filename\n", mapper); got != nil {
		t.Errorf("%q without swap", got)
	}
	if got := plainSwaps("", mapper); got != nil {
		t.Errorf("%q for an empty file", got)
	}
}
