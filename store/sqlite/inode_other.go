//go:build !unix

package sqlite

// inode returns an empty string: files have no inode on this platform.
func inode(string) (string, error) { return "", nil }
