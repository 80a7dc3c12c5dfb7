package e2e_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/burnkey/burnkey/internal/testkit"
)

//go:generate env BURNKEY_WRITE=true go test -run ^TestE2EClientsTable$ -count=1 .

// TestE2EClientsTable checks that the documentation has what `make clients` measured, and that each client did what its page says.
func TestE2EClientsTable(t *testing.T) {
	text, err := os.ReadFile(clientsFile)
	check(t, err)
	var measured measurements
	check(t, json.Unmarshal(text, &measured))
	const page = "../docs/howto/libraries/index.md"
	testkit.Generated(t, page, "clients", measured.table("page"))
	testkit.Generated(t, page, "clients at their defaults", measured.table("default"))
	for _, l := range libraries {
		for _, setting := range l.settings() {
			switch r := measured.find(l, setting); {
			case r == nil:
				t.Errorf("%s, %s, was not measured: run make clients", l.name, setting)
			case r.Problem != "":
				t.Errorf("%s, %s: %s", l.name, setting, r.Problem)
			}
		}
	}
}

// find returns the record of a client with a setting, or nil.
func (m measurements) find(l candidate, setting string) *record {
	for _, r := range m.Records {
		if r.Client == l.name && r.Setting == setting {
			return r
		}
	}
	return nil
}

// table is the table of one setting.
func (m measurements) table(setting string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s:\n\n", m.Date)
	b.WriteString("| client | version |" + ifPage(setting, " set this |") +
		" a new key is accepted | a revoked key is refused | while the server is away | largest set | fetches |\n")
	b.WriteString("|---|---|" + ifPage(setting, "---|") + "---|---|---|---|---|\n")
	for _, l := range libraries {
		if r := m.find(l, setting); r != nil {
			b.WriteString(r.row(l) + "\n")
		} else if setting == "page" {
			fmt.Fprintf(&b, "| [%s](%s) | %s | none: take %s | – | – | – | – | – |\n", l.name, l.page, m.find(l, l.only).Version, l.cannot)
		}
	}
	return b.String()
}

func ifPage(setting, text string) string {
	if setting == "page" {
		return text
	}
	return ""
}

func (r *record) row(l candidate) string {
	cells := []string{fmt.Sprintf("[%s](%s)", l.name, l.page), cmp.Or(r.Version, "–")}
	if r.Setting == "page" {
		cells = append(cells, l.set+ifCannot(l))
	}
	if r.Missing != "" {
		cells = append(cells, "not run: "+r.Missing, "", "", "", "")
	} else {
		cells = append(cells, after(r.NewKey), after(r.Revoked), r.away(), r.size(), fmt.Sprint(r.Forged))
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

func ifCannot(l candidate) string {
	if l.cannot == "" {
		return ""
	}
	return " is not enough: take " + l.cannot
}

// after is the cell of a measured time.
func after(s *span) string {
	switch {
	case s == nil:
		return "–"
	case s.Over:
		return "not within " + amount(s.Seconds)
	case s.Seconds < 1:
		return "at once"
	}
	return "after " + amount(math.Ceil(s.Seconds))
}

func amount(seconds float64) string {
	if seconds >= 120 && math.Mod(seconds, 60) == 0 {
		return fmt.Sprintf("%.0f min", seconds/60)
	}
	return fmt.Sprintf("%.0f s", seconds)
}

// away is the cell of an outage.
func (r *record) away() string {
	switch {
	case r.Away == nil || r.Back == nil:
		return "–"
	case r.Away.Over:
		return "keeps its keys"
	case r.Back.Over:
		return "refuses all " + after(r.Away) + ", and " + amount(r.Back.Seconds) + " later"
	}
	return "refuses all " + after(r.Away)
}

func (r *record) size() string {
	i := slices.Index(clientsSizes, r.Largest)
	switch i {
	case -1:
		return "fewer than " + thousands(clientsSizes[0])
	case len(clientsSizes) - 1:
		return thousands(r.Largest) + " or more"
	}
	return thousands(r.Largest) + ", not " + thousands(clientsSizes[i+1])
}

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
