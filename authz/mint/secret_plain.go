//go:build !goexperiment.runtimesecret

package mint

// secretly runs f; this toolchain was not asked for runtime/secret.
func secretly(f func()) { f() }
