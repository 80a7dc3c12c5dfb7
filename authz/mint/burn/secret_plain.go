//go:build !goexperiment.runtimesecret

package burn

// secretly runs f; this toolchain was not asked for runtime/secret.
func secretly(f func()) { f() }
