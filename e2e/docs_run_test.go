package e2e_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/burnkey/burnkey/authz/portal/portaltest"
	"github.com/burnkey/burnkey/deploy/envoy/envoytest"
	"github.com/burnkey/burnkey/store/postgres/pgtest"
)

// docsPatience is the maximum time for a page's commands.
const docsPatience = 5 * time.Minute

// docsMayLack are programs that a machine may lack even in CI: the blocks that need them are then skipped.
var docsMayLack = []string{"javac", "mvn", "cargo", "ruby", "perl"}

// docsAddress matches an address on this machine. Pages run side by side, so each port is replaced by a free one.
var docsAddress = regexp.MustCompile(`\b(127\.0\.0\.1|localhost):(\d{4,5})\b`)

// docsListen matches the address of a server that a block keeps running.
var docsListen = regexp.MustCompile(`listen (?:127\.0\.0\.1|localhost):(\d+)`)

// docsMaxTime matches the limit of a request that a page cuts off. On a busy machine, its answer takes longer.
var docsMaxTime = regexp.MustCompile(`(--max-time \d)\b`)

// docsPort matches a port without a host, after a space.
var docsPort = regexp.MustCompile(`(?m) \d{4,5}\b`)

// docsRun is the run of a page: one shell for all its blocks, in an empty folder.
type docsRun struct {
	t     testing.TB
	dir   string
	page  *docsPage
	ports map[string]string // the free port that replaces each port of the page
	env   []string
	limit time.Duration
	end   string // what the file "current" contains once all blocks have run
}

func newDocsRun(t testing.TB, page *docsPage) *docsRun {
	t.Helper()
	root, err := filepath.Abs("..")
	check(t, err)
	r := &docsRun{t: t, page: page, dir: t.TempDir(), ports: map[string]string{}, limit: docsPatience, end: "end-" + rand.Text()}
	check(t, os.Chmod(filepath.Dir(r.dir), 0o711)) // for a server of the page that runs as another user
	for _, b := range page.blocks {
		for _, found := range docsAddress.FindAllStringSubmatch(b.text, -1) {
			r.port(found[2])
		}
	}
	path := []string{
		filepath.Dir(burnkey(t)), envoytest.PatientProgram(t), filepath.Dir(python(t)),
		filepath.Join(root, ".tools", "browser", "node_modules", ".bin"), os.Getenv("PATH"),
	}
	r.port("9000")
	r.env = environment("PATH="+strings.Join(path, ":"), "SOURCE="+root, "BURNKEY_SERVER=http://127.0.0.1:"+r.port("8080"),
		"NO_COLOR=1", r.mark())
	if modules := filepath.Join(root, ".tools", "clients", "node_modules"); exists(modules) {
		check(t, os.Symlink(modules, filepath.Join(r.dir, "node_modules")))
	}
	return r
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// port returns the free port that replaces a port of the page.
func (r *docsRun) port(shown string) string {
	if r.ports[shown] == "" {
		_, free, err := net.SplitHostPort(envoytest.FreeAddr(r.t))
		check(r.t, err)
		r.ports[shown] = free
	}
	return r.ports[shown]
}

// real replaces the ports of a text of the page, also where the port of an address stands alone.
func (r *docsRun) real(text string) string {
	text = docsPort.ReplaceAllStringFunc(text, func(port string) string { return " " + cmp.Or(r.ports[port[1:]], port[1:]) })
	return docsAddress.ReplaceAllStringFunc(text, func(address string) string {
		host, port, _ := strings.Cut(address, ":")
		return host + ":" + r.port(port)
	})
}

// shown replaces real ports by those of the page.
func (r *docsRun) shown(text string) string {
	back := make(map[string]string)
	for port, free := range r.ports {
		back[free] = port
	}
	return docsAddress.ReplaceAllStringFunc(text, func(address string) string {
		host, port, _ := strings.Cut(address, ":")
		return host + ":" + cmp.Or(back[port], port)
	})
}

// docsStart has what the blocks of a page may rely on.
const docsStart = `set -euo pipefail
# A process that was killed is no failure of the page.
wait() {
	local status=0
	builtin wait "$@" || status=$?
	if [ "$status" -le 128 ]; then return "$status"; fi
}
# On a busy machine, what a page waits for may take longer.
sleep() {
	if [[ $1 == [1-9] ]]; then set -- $(($1 * 4)); fi
	command sleep "$@"
}
# await returns once a port answers. A server that has just begun to listen may answer later.
await() {
	for _ in {1..900}; do
		if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
			curl -s -m 20 -o /dev/null "http://127.0.0.1:$1/readyz" || true
			return
		fi
		sleep 0.1
	done
	echo "nothing answers at port $1"
	return 1
}
`

// docsSetups are the commands of the setups, by name. For postgres, DATABASE_URL names a database. For users, there are an
// OpenID provider and a user's token.
var docsSetups = map[string]string{
	"acme": setupAcme, "postgres": setupAcme, "users": setupAcme,
	"prefix": strings.Replace(setupAcme, "--audience acme-company", "--audience acme-company --token-prefix acme-live-", 1),
}

const setupAcme = `
burnkey serve --listen 127.0.0.1:8080 --public-url http://127.0.0.1:8080 \
	--database "${DATABASE_URL:-sqlite:burnkey.db}" --admin-key-file admin.key &
python3 "$SOURCE/e2e/testdata/docs/api.py" 127.0.0.1:9000 &
await 8080
await 9000
export BURNKEY_KEY_FILE=admin.key
burnkey workspace create acme --audience acme-company
TOKEN=$(burnkey key issue --workspace acme --owner cust_1 --scope maps:read --expires-in 90d)
KEY_ID=$(burnkey key list --workspace acme --output json | python3 -c 'import json, sys; print(json.load(sys.stdin)["keys"][0]["id"])')
ISSUER=http://127.0.0.1:8080/v1/auth/oauth/acme
export TOKEN KEY_ID ISSUER
sed 's/^/Authorization: Bearer /' admin.key > admin.header
echo "Authorization: Bearer $TOKEN" > cust_1.header
`

// script returns the page as a script. Before block N runs, the script writes N to the file "current" and sends the output
// to the file out.N.
func (r *docsRun) script() string {
	if r.page.setup == "postgres" {
		r.env = append(r.env, "DATABASE_URL="+pgtest.Start(r.t, nil).Database(r.t))
	}
	if r.page.setup == "users" {
		const client = "http://127.0.0.1:1/callback"
		op := portaltest.NewOIDCProvider(r.t, portaltest.OIDCConfig{
			RedirectURIs: []string{client}, LogoutURIs: []string{client}, Users: map[string]map[string]any{"ada": {}},
		})
		r.env = append(r.env, "PROVIDER="+op.Issuer, "AUDIENCE="+portaltest.PublicClient, "USER_TOKEN="+op.IDToken(r.t, client, "ada"))
	}
	text := docsStart + "exec >out.setup 2>&1\n" + r.real(docsSetups[r.page.setup])
	for i, b := range r.page.blocks {
		if name := b.marks["file"]; name != "" {
			check(r.t, os.MkdirAll(filepath.Dir(filepath.Join(r.dir, name)), 0o755))
			check(r.t, os.WriteFile(filepath.Join(r.dir, name), []byte(r.real(b.text)), 0o644))
		}
		if b.runs() && !r.lacks(b) {
			text += r.command(i, b)
		}
	}
	return text + "echo " + r.end + " > current\n"
}

func (r *docsRun) command(i int, b *docsBlock) string {
	commands := docsMaxTime.ReplaceAllString(r.real(b.text), "${1}0")
	// A block may have changed the options.
	text := fmt.Sprintf("set -euo pipefail; shopt -s inherit_errexit\necho %d > current\nexec >out.%d 2>&1\n", i, i)
	if _, foreground := b.marks["keeps running"]; !foreground {
		return text + commands
	}
	text += "(\n" + commands + ") &\n"
	for _, found := range docsListen.FindAllStringSubmatch(b.text, -1) {
		text += "await " + r.port(found[1]) + "\n"
	}
	return text
}

// missing returns the first program that the block needs and that is missing, or "".
func (b *docsBlock) missing() string {
	for _, program := range strings.Fields(b.marks["needs"]) {
		if _, err := exec.LookPath(program); err != nil {
			return program
		}
	}
	return ""
}

// lacks reports whether a program that the block needs is missing.
func (r *docsRun) lacks(b *docsBlock) bool {
	program := b.missing()
	if program == "" {
		return false
	}
	if os.Getenv("CI") == "true" && !slices.Contains(docsMayLack, program) {
		r.t.Errorf("%s: needs %s, which is missing", b, program)
	}
	r.t.Logf("%s: skipped, since there is no %s", b, program)
	return true
}

// run runs the page and compares what its blocks print.
func (r *docsRun) run() {
	r.t.Helper()
	check(r.t, os.WriteFile(filepath.Join(r.dir, ".page.sh"), []byte(r.script()), 0o600))
	ctx, cancel := context.WithTimeout(context.Background(), r.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", ".page.sh")
	cmd.Dir, cmd.Env = r.dir, r.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	if cmd.Process != nil {
		r.leavesNothing(cmd.Process.Pid)
	}
	if at := strings.TrimSpace(r.read("current")); err != nil || at != r.end {
		r.failed(at, errors.Join(err, ctx.Err()))
		return
	}
	for i, b := range r.page.blocks {
		if b.output == nil || !b.runs() || r.lacks(b) {
			continue
		}
		if output := r.shown(r.read(fmt.Sprintf("out.%d", i))); !b.output.matches(output) {
			r.t.Errorf("%s: the page shows\n%s\nbut the commands print\n%s", b.output, b.output.text, output)
		}
	}
}

// failed reports the block that failed, or the setup.
func (r *docsRun) failed(at string, err error) {
	r.t.Helper()
	var i int
	if _, notNumber := fmt.Sscan(at, &i); notNumber != nil {
		r.t.Errorf("%s: setup %q: %v\n%s", r.page.name, r.page.setup, err, r.read("out.setup"))
		return
	}
	r.t.Errorf("%s: %v\n%s\nprinted\n%s", r.page.blocks[i], err, r.page.blocks[i].text, r.shown(r.read(fmt.Sprintf("out.%d", i))))
}

func (r *docsRun) read(name string) string {
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	return string(text)
}
