package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A workshop builds the programs of tools/clients, each language once. tools/clients.sh and tools/matrix.sh install the libraries.
type workshop struct {
	source, tools, dir string
	once               map[string]func() error
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	root, err := filepath.Abs("..")
	check(t, err)
	w := &workshop{
		source: filepath.Join(root, "tools", "clients"), tools: filepath.Join(root, ".tools"), dir: t.TempDir(),
	}
	w.once = map[string]func() error{
		"node": sync.OnceValue(w.copyNode), "go": sync.OnceValue(func() error { return w.buildGo("go") }),
		"k8s": sync.OnceValue(func() error { return w.buildGo("k8s") }), "rust": sync.OnceValue(w.buildRust),
		"java": sync.OnceValue(func() error { return w.compile("java") }), "spring": sync.OnceValue(func() error { return w.compile("spring") }),
	}
	return w
}

// errMissing says what a machine lacks for a client.
var errMissing = errors.New("needs")

// argv returns the command of a program, built if necessary.
func (w *workshop) argv(t *testing.T, language, name string) ([]string, error) {
	command := map[string][]string{
		"python": {w.python(t), filepath.Join(w.source, "python", name+".py")},
		"node":   {"node", filepath.Join(w.dir, "node", name+".mjs")},
		"go":     {filepath.Join(w.dir, "go"), name},
		"k8s":    {filepath.Join(w.dir, "k8s")},
		"java":   w.java("java", name), "spring": w.java("spring", name),
		"rust": {filepath.Join(w.tools, "matrix", "rust", "release", "burnkey-clients"), name},
		"ruby": {"ruby", filepath.Join(w.source, "ruby", name+".rb")},
		"perl": {"perl", filepath.Join(w.source, "perl", name+".pl")},
	}[language]
	if build := w.once[language]; build != nil {
		if err := build(); err != nil {
			return nil, err
		}
	}
	return command, w.probe(language)
}

// probe looks for what languages without a build need.
func (w *workshop) probe(language string) error {
	for of, command := range map[string][]string{"ruby": {"ruby", "-rjwt", "-e", ""}, "perl": {"perl", "-MCrypt::JWT", "-e", ""}} {
		if of == language {
			if err := exec.Command(command[0], command[1:]...).Run(); err != nil {
				return fmt.Errorf("%w %s with its JWT library", errMissing, language)
			}
		}
	}
	return nil
}

// python returns the interpreter with all libraries, or that of the other tests.
func (w *workshop) python(t *testing.T) string {
	if path := filepath.Join(w.tools, "matrix", "python", "bin", "python"); exists(path) {
		return path
	}
	return python(t)
}

// copyNode puts the programs beside the libraries, which modules are looked up from.
func (w *workshop) copyNode() error {
	modules := filepath.Join(w.tools, "clients", "node_modules")
	if !exists(modules) {
		return fmt.Errorf("%w Node.js and its libraries", errMissing)
	}
	to := filepath.Join(w.dir, "node")
	if err := os.CopyFS(to, os.DirFS(filepath.Join(w.source, "node"))); err != nil {
		return err
	}
	return os.Symlink(modules, filepath.Join(to, "node_modules"))
}

func (w *workshop) buildGo(folder string) error {
	return build(exec.Command("go", "build", "-C", filepath.Join(w.source, folder), "-trimpath", "-o", filepath.Join(w.dir, folder), "."))
}

func (w *workshop) buildRust() error {
	if _, err := exec.LookPath("cargo"); err != nil {
		return fmt.Errorf("%w cargo", errMissing)
	}
	cmd := exec.Command("cargo", "build", "--quiet", "--release", "--manifest-path", filepath.Join(w.source, "rust", "Cargo.toml"))
	cmd.Env = append(os.Environ(), "CARGO_TARGET_DIR="+filepath.Join(w.tools, "matrix", "rust"))
	return build(cmd)
}

// compile compiles the programs of a folder, with the protocol's class.
func (w *workshop) compile(folder string) error {
	if _, err := exec.LookPath("javac"); err != nil || !exists(w.libraries(folder)) {
		return fmt.Errorf("%w a JDK, Maven and the libraries", errMissing)
	}
	files, err := filepath.Glob(filepath.Join(w.source, folder, "*.java"))
	if err != nil {
		return err
	}
	if folder != "java" {
		files = append(files, filepath.Join(w.source, "java", "Lines.java"))
	}
	flags := []string{"-nowarn", "-d", filepath.Join(w.dir, folder), "-cp", filepath.Join(w.libraries(folder), "*")}
	return build(exec.Command("javac", append(flags, files...)...))
}

// libraries returns the folder of a Java program's libraries.
func (w *workshop) libraries(folder string) string {
	if folder == "java" {
		return filepath.Join(w.tools, "clients", "java")
	}
	return filepath.Join(w.tools, "matrix", folder)
}

func (w *workshop) java(folder, class string) []string {
	path := filepath.Join(w.libraries(folder), "*") + ":" + filepath.Join(w.dir, folder)
	return []string{"java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", path, class}
}

func build(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args[:2], " "), err, out)
	}
	return nil
}
