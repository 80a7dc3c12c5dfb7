package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// report writes what was measured: one file a part, and README.md with the claims.
func (b *bench) report(ctx context.Context) error {
	dir := b.o.out
	if dir == "" {
		dir = filepath.Join(b.dir, "results") // rendered all the same, to see that it can be
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	about := preface(describe(ctx, b.o), time.Now(), b.o.command())
	for name, text := range b.results.files(about, b.o.quick) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	if err := b.results.plots(dir); err != nil {
		return err
	}
	if b.o.out != "" {
		b.say.step("the results are in %s", b.o.out)
	}
	if b.o.quick {
		b.say.step("%s", b.results.outcome())
		return nil
	}
	for _, c := range b.results.claims() {
		b.say.step("%s: %s (%s): %s", c.what, orDash(c.got), orDash(c.want), strings.Trim(c.verdict(), "*"))
	}
	return nil
}

// outcome reports whether all parts of a quick run work. A part that did not run has a note; a wrong answer fails the run.
func (r *results) outcome() string {
	const figures = "; the figures of a quick run mean nothing"
	if len(r.notes) > 0 {
		return "some parts did not run: " + strings.Join(r.notes, "; ") + figures
	}
	return "all requested parts ran, and every answer was right" + figures
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// preface says where, when, by what and how a run was made.
func preface(m machine, at time.Time, command string) string {
	return fmt.Sprintf("Measured on %s with `%s`: %s; %s; %s. Envoy runs one worker; clients, servers and what they are\n"+
		"compared with share the machine over loopback.\n\n", at.UTC().Format("2 January 2006"), command, m.hardware, m.system, m.versions)
}

// files renders the results by the names of the files.
func (r *results) files(about string, isQuick bool) map[string]string {
	files := map[string]string{}
	put := func(name, title string, tables ...*table) {
		var b strings.Builder
		fmt.Fprintf(&b, "# %s\n\n%s", title, about)
		for _, t := range tables {
			if len(t.rows) > 0 {
				b.WriteString(t.String())
			}
		}
		files[name] = strings.TrimSuffix(b.String(), "\n")
	}
	if _, high := r.ends(stock); high != nil {
		put("gateway.md", "Envoy jwt_authn and Envoy with burnkey gateway", r.latencyTable(), r.cpuTable(), r.memoryTable(),
			r.propagationTable(), r.readyTable(), r.forgedTable())
	}
	if r.verify != nil {
		put("verify.md", "Verification", r.verifyTable())
	}
	if r.issuing != nil {
		put("issuing.md", "Issuing", r.issuingTable(), r.readsTable())
	}
	if r.jwks != nil {
		put("jwks.md", "Serving the JWKS", r.servingTable())
	}
	if t := r.changeTable(); len(t.rows) > 0 {
		put("change.md", "Changes in the server", t)
	}
	put("README.md", "Results", r.claimsTable(isQuick))
	files["README.md"] += r.remarks(files)
	return files
}

func (r *results) remarks(files map[string]string) string {
	var b strings.Builder
	for _, f := range []struct{ name, what string }{
		{"gateway.md", "gateways by the number of keys"},
		{"change.md", "changes in the server"},
		{"verify.md", "verification"},
		{"issuing.md", "issuing"},
		{"jwks.md", "serving the JWKS"},
	} {
		if _, ok := files[f.name]; ok {
			fmt.Fprintf(&b, "- [%s](%s)\n", f.what, f.name)
		}
	}
	if b.Len() > 0 { // kept by hand, beside the results of a full run
		b.WriteString("- [what does not hold on the machine of the results kept here, and why](why.md)\n")
	}
	for _, note := range r.notes {
		fmt.Fprintf(&b, "- Note: %s\n", note)
	}
	if b.Len() > 0 {
		return "\n" + b.String()
	}
	return ""
}

func (r *results) claimsTable(isQuick bool) *table {
	t := &table{title: "Promises, in this run", head: []string{"", "measured", "promised", ""}}
	if isQuick {
		t.note = "A quick run tells whether everything works; its figures mean nothing."
	}
	for _, c := range r.claims() {
		t.add(c.what, orDash(c.got), orDash(c.want), c.verdict())
	}
	return t
}
