package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// report writes the measurements, one file per part, and a README.md with the claims.
func (b *bench) report(ctx context.Context) error {
	dir := b.o.out
	if dir == "" {
		dir = filepath.Join(b.dir, "results") // written all the same, to find errors
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
		b.say.step("%s: %s (%s): %s", c.what, cmp.Or(c.got, "–"), cmp.Or(c.want, "–"), strings.Trim(c.verdict(), "*"))
	}
	return nil
}

// outcome says whether every part of a quick run worked. There is a note for each part that did not run. Wrong
// answers are not considered here, since they make the run fail.
func (r *results) outcome() string {
	const figures = "; the figures of a quick run mean nothing"
	if len(r.notes) > 0 {
		return "some parts did not run: " + strings.Join(r.notes, "; ") + figures
	}
	return "all requested parts ran, and every answer was right" + figures
}

// preface describes the machine and the command of a run.
func preface(m machine, at time.Time, command string) string {
	return fmt.Sprintf("Measured on %s with `%s`: %s; %s; %s. Envoy runs one worker; clients, servers and what they are\n"+
		"compared with share the machine over loopback.\n\n", at.UTC().Format("2 January 2006"), command, m.hardware, m.system, m.versions)
}

// page is one file of a report.
type page struct {
	name, what, title string
	tables            []*table
}

func (r *results) pages() []page {
	var all []page
	if _, high := r.ends(stock); high != nil {
		all = append(all, page{"gateway.md", "gateways by the number of keys", "Envoy jwt_authn and Envoy with burnkey gateway", []*table{
			r.latencyTable(), r.cpuTable(), r.memoryTable(), r.propagationTable(), r.readyTable(), r.forgedTable(),
		}})
	}
	if t := r.changeTable(); len(t.rows) > 0 {
		all = append(all, page{"change.md", "changes in the server", "Changes in the server", []*table{t}})
	}
	if r.verify != nil {
		all = append(all, page{"verify.md", "verification", "Verification", []*table{r.verifyTable()}})
	}
	if r.issuing != nil {
		all = append(all, page{"issuing.md", "issuing", "Issuing", []*table{r.issuingTable(), r.readsTable()}})
	}
	if r.jwks != nil {
		all = append(all, page{"jwks.md", "serving the JWKS", "Serving the JWKS", []*table{r.servingTable()}})
	}
	if r.exchange != nil {
		all = append(all, page{"exchange.md", "the exchange", "The exchange, beside Keycloak and Hydra", []*table{r.exchangeTable()}})
	}
	return all
}

// files returns the content of each file of the report, by file name.
func (r *results) files(about string, isQuick bool) map[string]string {
	render := func(p page) string {
		text := "# " + p.title + "\n\n" + about
		for _, t := range p.tables {
			if len(t.rows) > 0 {
				text += t.String()
			}
		}
		return strings.TrimSuffix(text, "\n")
	}
	files, remarks := map[string]string{}, ""
	for _, p := range r.pages() {
		files[p.name] = render(p)
		remarks += fmt.Sprintf("- [%s](%s)\n", p.what, p.name)
	}
	if remarks != "" { // kept by hand, beside the results of a full run
		remarks += "- [what does not hold on the machine of the results kept here, and why](why.md)\n"
	}
	for _, note := range r.notes {
		remarks += fmt.Sprintf("- Note: %s\n", note)
	}
	files["README.md"] = render(page{title: "Results", tables: []*table{r.claimsTable(isQuick)}})
	if remarks != "" {
		files["README.md"] += "\n" + remarks
	}
	return files
}

func (r *results) claimsTable(isQuick bool) *table {
	t := &table{title: "Promises, in this run", head: []string{"", "measured", "promised", ""}}
	if isQuick {
		t.note = "A quick run shows whether everything works; its figures mean nothing."
	}
	for _, c := range r.claims() {
		t.add(c.what, cmp.Or(c.got, "–"), cmp.Or(c.want, "–"), c.verdict())
	}
	return t
}

// machine describes the computer that ran the benchmarks, without its host name.
type machine struct{ hardware, system, versions string }

func describe(ctx context.Context, o options) machine {
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	memory, _ := os.ReadFile("/proc/meminfo")
	release, _ := os.ReadFile("/etc/os-release")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	m := machine{
		hardware: fmt.Sprintf("%d cores of %s, %d GB of memory", runtime.NumCPU(), processor(cpu),
			(number(memory, "MemTotal:")<<10+5e8)/1e9),
		system: fmt.Sprintf("%s, Linux %s, %s", field(release, "PRETTY_NAME="), majorMinor(kernel), runtime.GOARCH),
	}
	versions := []string{strings.Replace(runtime.Version(), "go", "Go ", 1)}
	for _, p := range []struct {
		name, program, flag string
	}{{"Envoy", o.envoy, "--version"}, {"nginx", "nginx", "-v"}, {"OpenSSL", "openssl", "version"}, {"burnkey", o.burnkey, "--version"}} {
		if v := versionOf(ctx, p.program, p.flag); v != "" {
			versions = append(versions, p.name+" "+v)
		}
	}
	m.versions = strings.Join(versions, ", ")
	return m
}

// processor returns the model name of a CPU, with the vendor's family and model numbers.
func processor(cpuinfo []byte) string {
	return fmt.Sprintf("%s (family %s, model %s)", field(cpuinfo, "model name\t"), field(cpuinfo, "cpu family\t"), field(cpuinfo, "model\t"))
}

// field returns the rest of the first line that starts with name, or "?".
func field(text []byte, name string) string {
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name); ok {
			return strings.Trim(value, " \t\n:\"")
		}
	}
	return "?"
}

// number returns the number at the start of a field's value, or 0.
func number(text []byte, name string) int64 {
	n, _ := strconv.ParseInt(strings.Fields(field(text, name) + " ?")[0], 10, 64)
	return n
}

func majorMinor(release []byte) string {
	parts := strings.SplitN(strings.TrimSpace(string(release)), ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

var versionNumber = regexp.MustCompile(`\d+\.\d+\.\d+[a-z]?`)

// versionOf runs a program and returns its version, or "" if the program is missing or prints no version.
func versionOf(ctx context.Context, program, flag string) string {
	if program == "" {
		return ""
	}
	cmd := exec.CommandContext(ctx, program, flag)
	cmd.Env = environment()
	text, err := cmd.CombinedOutput() // nginx prints it on standard error
	if err != nil {
		return ""
	}
	if v := versionNumber.Find(text); v != nil {
		return string(v)
	}
	if bytes.Contains(text, []byte("burnkey")) { // built between releases
		fields := strings.Fields(string(text))
		return fields[len(fields)-1]
	}
	return ""
}
