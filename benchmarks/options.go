package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// options of a run.
type options struct {
	plan
	quick   bool
	sizes   []int    // ascending
	only    []string // parts; all if empty
	out     string   // folder of the results
	scratch string
	primes  string // file with the pool of primes, or ""
	burnkey string
	envoy   string
	rivals  string // folder

	noGateway bool // this burnkey has no gateway command
}

var (
	allParts   = []string{"gateway", "change", "verify", "issuing", "jwks", "exchange"}
	fullSizes  = []int{1, 8192, 65_536, 262_144, 1_138_688}
	quickSizes = []int{1, 2048}
)

// maxKeys is the maximum of --sizes.
const maxKeys = 4_000_000

// parseOptions parses the command line and finds the programs under test.
func parseOptions(args []string, out io.Writer) (options, error) {
	var o options
	var sizes, only string
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.BoolVar(&o.quick, "quick", false, "a minute for correctness alone: small sets, short loads")
	flags.StringVar(&sizes, "sizes", "", "`N,…` keys instead of 1,8192,65536,262144,1138688 (quick: 1,2048)")
	flags.StringVar(&only, "only", "", "`PART,…` of "+strings.Join(allParts, ", "))
	flags.StringVar(&o.out, "out", "", "`DIR` for the results (default docs/benchmarks for a full run, none for others)")
	flags.StringVar(&o.scratch, "scratch", os.TempDir(), "`DIR` for databases and logs during the run, on the disk to measure")
	flags.StringVar(&o.primes, "primes", filepath.Join(".tools", "bench", "primes-for-loads-only.txt"),
		"`FILE` that stores the pool of primes for the next run; empty: no file")
	flags.StringVar(&o.burnkey, "burnkey", cmp.Or(os.Getenv("BURNKEY_BIN"), "bin/burnkey"), "the burnkey under test")
	flags.StringVar(&o.envoy, "envoy", cmp.Or(os.Getenv("BURNKEY_ENVOY"), ".tools/envoy/envoy"), "Envoy 1.40")
	flags.StringVar(&o.rivals, "rivals", filepath.Join(".tools", "rivals"), "`DIR` with Keycloak and Hydra; a quick run does without them")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q is not a flag", flags.Arg(0))
	}
	o.plan, o.sizes = full, fullSizes
	if o.quick {
		o.plan, o.sizes = quick, quickSizes
	}
	var err error
	if o.sizes, err = parseSizes(sizes, o.sizes); err != nil {
		return o, err
	}
	if o.only, err = parseParts(only); err != nil {
		return o, err
	}
	if o.out == "" && !o.quick && sizes == "" && only == "" {
		o.out = filepath.Join("docs", "benchmarks") // only a full run replaces them
	}
	return o, o.find()
}

func parseSizes(text string, otherwise []int) ([]int, error) {
	if text == "" {
		return otherwise, nil
	}
	var sizes []int
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < 1 || n > maxKeys {
			return nil, fmt.Errorf("--sizes: %q is not a number from 1 to %d", field, maxKeys)
		}
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	return slices.Compact(sizes), nil
}

func parseParts(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	for _, part := range parts {
		if !slices.Contains(allParts, part) {
			return nil, fmt.Errorf("--only: %q is not one of %s", part, strings.Join(allParts, ", "))
		}
	}
	return parts, nil
}

func (o *options) part(name string) bool { return len(o.only) == 0 || slices.Contains(o.only, name) }

// command returns the command line of the run, without directories of this machine.
func (o *options) command() string {
	var flags []string
	if o.quick {
		flags = append(flags, "--quick")
	}
	if sizes := fmt.Sprint(o.sizes); sizes != fmt.Sprint(fullSizes) && sizes != fmt.Sprint(quickSizes) {
		flags = append(flags, "--sizes "+strings.ReplaceAll(strings.Trim(sizes, "[]"), " ", ","))
	}
	if len(o.only) > 0 {
		flags = append(flags, "--only "+strings.Join(o.only, ","))
	}
	switch text := strings.Join(flags, " "); {
	case text == "":
		return "make bench"
	case strings.Contains(text, " "):
		return "make bench BENCH='" + text + "'"
	default:
		return "make bench BENCH=" + text
	}
}

// find resolves the programs' paths. It returns an error if a program or directory is missing.
func (o *options) find() (err error) {
	if o.burnkey, err = exec.LookPath(o.burnkey); err != nil {
		return fmt.Errorf("--burnkey: %w (make build makes it)", err)
	}
	if o.part("gateway") {
		if o.envoy, err = exec.LookPath(o.envoy); err != nil {
			return fmt.Errorf("--envoy: %w (make envoy gets it)", err)
		}
	}
	if info, err := os.Stat(o.scratch); err != nil || !info.IsDir() {
		return errors.Join(fmt.Errorf("--scratch: %q is not a folder", o.scratch), err)
	}
	return nil
}
