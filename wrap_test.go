package burnkey_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// An error wrapped with %w must not be nil, since the message then contains %!w(<nil>). It can be nil if the
// condition also covers another failure.
func TestNoNilIsWrapped(t *testing.T) {
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".tools" || d.Name() == "node_modules" || d.Name() == ".git"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if branch, ok := n.(*ast.IfStmt); ok {
				for _, name := range perhapsNil(branch.Cond) {
					if wraps(branch.Body, name) {
						t.Errorf("%s wraps %s, which may be nil", files.Position(branch.Pos()), name)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// perhapsNil returns the names that one side of an || compares with nil.
func perhapsNil(cond ast.Expr) (names []string) {
	or, ok := cond.(*ast.BinaryExpr)
	if !ok || or.Op != token.LOR {
		return nil
	}
	for _, side := range []ast.Expr{or.X, or.Y} {
		if is, ok := side.(*ast.BinaryExpr); ok && is.Op == token.NEQ {
			if name, ok := is.X.(*ast.Ident); ok {
				names = append(names, name.Name)
			}
		}
		names = append(names, perhapsNil(side)...)
	}
	return names
}

// wraps reports whether a body wraps an error of this name with %w.
func wraps(body *ast.BlockStmt, name string) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		format, ok := call.Args[0].(*ast.BasicLit)
		if !ok || !strings.Contains(format.Value, "%w") {
			return true
		}
		for _, arg := range call.Args[1:] {
			if id, ok := arg.(*ast.Ident); ok && id.Name == name {
				found = true
			}
		}
		return true
	})
	return found
}
