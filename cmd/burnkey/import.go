package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/burnkey/burnkey/client"
	"github.com/burnkey/burnkey/gateway"
)

const (
	maxImportFile = 512 << 20 // bytes
	// importCall is the approximate number of bytes of one call, of which the server takes 1 MiB.
	importCall = 900 << 10
	// shownRefusals is the number of refused keys that the table shows.
	shownRefusals = 20
)

// importing is the configuration of burnkey import.
type importing struct {
	calls
	format       string
	pepperFile   string
	neverExpires bool
	dry          bool
}

func importCommand() *cobra.Command {
	var i importing
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Import opaque keys of another system",
		Long: "Import the keys in a file into a workspace. Keys are hashed here: the server gets and stores only digests, and\n" +
			"burnkey gateway accepts the keys. Formats: csv and jsonl, with the members of the API's imports, or key (the key\n" +
			"itself) instead of digest; kong, a dump by deck or answers of the Admin API; unkey, with SHA-256 hashes;\n" +
			"envoy-gateway and kuadrant, Kubernetes Secrets in YAML or JSON. The same file can be imported again: keys that\n" +
			"exist stay as they are. If FILE is -, standard input is read.",
		Example: "  deck gateway dump -o kong.yaml\n" +
			"  burnkey import kong.yaml -w acme --dry-run\n" +
			"  kubectl get secrets -l app=toystore -o yaml | burnkey import - -w acme --format kuadrant",
		Args: oneArg("a file"),
		RunE: i.run(i.import_),
	}
	i.remote.flags(cmd)
	i.output.flag(cmd)
	i.inWorkspace(cmd)
	cmd.Flags().StringVar(&i.format, "format", "auto", "format of the file: "+strings.Join(importFormats(), ", "))
	cmd.Flags().StringVar(&i.pepperFile, "pepper-file", "",
		"`FILE` with the pepper of HMAC-SHA-256, which burnkey gateway must have, too (default none: keys are hashed with SHA-256)")
	cmd.Flags().BoolVar(&i.neverExpires, "never-expires", false,
		"import keys without an expiry as keys that never expire (default the workspace's lifetime applies)")
	cmd.Flags().BoolVar(&i.dry, "dry-run", false, "only read and check the file; send nothing to the server")
	choices(cmd, "format", importFormats()...)
	return cmd
}

// imports are the counts of an import.
type imports struct {
	DryRun   bool `json:"dry_run"`
	Keys     int  `json:"keys"`
	Imported int  `json:"imported"`
	Existing int  `json:"existing"`
	Refused  int  `json:"refused"`
	Weak     int  `json:"weak"`
	// NotBearer is the number of keys that can't be sent as Authorization: Bearer.
	NotBearer int `json:"not_bearer"`
	// WithoutExpiry is the number of keys that have no expiry in the file, and so get the workspace's default.
	WithoutExpiry int             `json:"without_expiry"`
	Refusals      []importRefusal `json:"refusals"`
}

type importRefusal struct {
	Place  string `json:"place"`
	Owner  string `json:"owner,omitempty"`
	Reason string `json:"reason"`

	at int // of the line: see importLine
}

func (n *imports) refuse(l *importLine, reason string) {
	n.Refused++
	n.Refusals = append(n.Refusals, importRefusal{l.place, l.key.Owner, reason, l.at})
}

var errRefused = errors.New("some keys were not imported")

func (i *importing) import_(cmd *cobra.Command, c *client.Client, args []string) error {
	if err := i.output.check(); err != nil {
		return err
	}
	text, err := readImport(cmd.InOrStdin(), args[0])
	if err != nil {
		return err
	}
	reader := importReader{now: time.Now(), file: args[0], neverExpires: i.neverExpires}
	if i.pepperFile != "" {
		if reader.pepper, err = readPepper("--pepper-file", i.pepperFile); err != nil {
			return err
		}
	}
	lines, err := reader.read(i.format, text)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	counts := &imports{DryRun: i.dry, Keys: len(lines), Refusals: []importRefusal{}}
	good := counts.sort(lines)
	counts.warn(cmd)
	if !i.dry {
		if err := i.send(cmd, c, good, counts); err != nil {
			return err
		}
	}
	return i.report(cmd, counts)
}

func (n *imports) warn(cmd *cobra.Command) {
	if n.Weak > 0 {
		cmd.PrintErrf("warning: %s fewer than 128 bits, judging by their length and characters. A thief of the digests can find such "+
			"keys by trying: rotate them soon, or use --pepper-file.\n", keysHave(n.Weak))
	}
	if n.WithoutExpiry > 0 {
		cmd.PrintErrf("warning: %s no expiry in the file, so the workspace's default applies (90 days, unless it was changed). To keep "+
			"such keys until they are revoked, use --never-expires.\n", keysHave(n.WithoutExpiry))
	}
	if n.NotBearer > 0 {
		cmd.PrintErrf("warning: %s characters that Authorization: Bearer can't contain. Gateways accept such keys only in another "+
			"place, for example with --credential header:X-API-Key.\n", keysHave(n.NotBearer))
	}
}

func keysHave(n int) string {
	if n == 1 {
		return "1 key has"
	}
	return fmt.Sprintf("%d keys have", n)
}

// sort counts the lines, and returns those to send.
func (n *imports) sort(lines []importLine) (good []importLine) {
	for at := range lines {
		l := &lines[at]
		l.at = at
		if l.err != nil {
			n.refuse(l, l.err.Error())
			continue
		}
		if l.weak {
			n.Weak++
		}
		if l.key.ExpiresAt.IsZero() && !l.key.NeverExpires {
			n.WithoutExpiry++
		}
		if l.notBearer {
			n.NotBearer++
		}
		good = append(good, *l)
	}
	return good
}

// send imports the lines in several calls.
func (i *importing) send(cmd *cobra.Command, c *client.Client, lines []importLine, counts *imports) error {
	progress := newProgress(cmd.ErrOrStderr(), len(lines))
	defer progress.end()
	for done := 0; done < len(lines); {
		batch := batchOf(lines[done:])
		keys := make([]client.ImportKey, len(batch))
		for at := range batch {
			keys[at] = batch[at].key
		}
		answer, err := c.ImportKeys(cmd.Context(), i.workspace, keys)
		if err == nil && len(answer.Results) != len(batch) {
			err = errors.New("the server's answer does not have a result for each key")
		}
		if err != nil {
			return fmt.Errorf("after %d of %d keys (run the same command again to continue): %w", done, len(lines), err)
		}
		counts.Imported, counts.Existing = counts.Imported+answer.Imported, counts.Existing+answer.Existing
		for at, r := range answer.Results {
			if r.Status == client.StatusRefused {
				counts.refuse(&batch[at], faultsText(r.Errors))
			}
		}
		done += len(batch)
		progress.show(done)
	}
	return nil
}

func faultsText(faults []client.Fault) string {
	texts := make([]string, len(faults))
	for i, f := range faults {
		texts[i] = f.Field + ": " + f.Detail
	}
	return strings.Join(texts, "; ")
}

// batchOf returns the first lines, as many as one call takes.
func batchOf(lines []importLine) []importLine {
	size := 0
	for n := range lines {
		text, err := json.Marshal(lines[n].key)
		if size += len(text) + 1; err != nil || n == client.MaxImport || n > 0 && size > importCall {
			return lines[:n]
		}
	}
	return lines
}

func (i *importing) report(cmd *cobra.Command, n *imports) error {
	slices.SortFunc(n.Refusals, func(a, b importRefusal) int { return cmp.Compare(a.at, b.at) })
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	rows := [][]string{{"keys", strconv.Itoa(n.Keys)}, {"refused", strconv.Itoa(n.Refused)}}
	if n.DryRun {
		rows = append(rows, []string{"to import", strconv.Itoa(n.Keys - n.Refused)})
	} else {
		rows = append(rows, []string{"imported", strconv.Itoa(n.Imported)}, []string{"existing", strconv.Itoa(n.Existing)})
	}
	for at, r := range n.Refusals {
		if at == shownRefusals {
			rows = append(rows, []string{"…", fmt.Sprintf("%d more; -o json shows all", len(n.Refusals)-at)})
			break
		}
		reason := r.Reason
		if r.Owner != "" {
			reason = r.Owner + ": " + reason
		}
		rows = append(rows, []string{r.Place, reason})
	}
	if err := i.show(cmd, string(text), rows); err != nil {
		return err
	}
	if n.Refused > 0 {
		return errRefused
	}
	return nil
}

func readImport(in io.Reader, path string) ([]byte, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxImportFile+1))
	if err == nil && len(text) > maxImportFile {
		err = fmt.Errorf("%s: must be at most %d bytes; split it", path, maxImportFile)
	}
	return bytes.TrimPrefix(text, byteOrderMark), err
}

// readPepper reads a pepper without white space around it.
func readPepper(flag, path string) ([]byte, error) {
	pepper, err := readSecret(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	if pepper = bytes.TrimSpace(pepper); len(pepper) < gateway.MinPepperLen {
		return nil, fmt.Errorf("%s: %s: must have at least %d bytes", flag, path, gateway.MinPepperLen)
	}
	return pepper, nil
}

// progress shows on a terminal how many keys are done.
type progress struct {
	out   io.Writer // nil: not a terminal
	total int
}

func newProgress(out io.Writer, total int) progress {
	f, isFile := out.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		out = nil
	}
	return progress{out, total}
}

func (p progress) show(done int) {
	if p.out == nil {
		return
	}
	const width = 30
	filled := done * width / max(1, p.total)
	_, _ = fmt.Fprintf(p.out, "\r[%s%s] %d of %d", strings.Repeat("#", filled), strings.Repeat(" ", width-filled), done, p.total)
}

func (p progress) end() {
	if p.out != nil {
		_, _ = fmt.Fprintln(p.out)
	}
}
