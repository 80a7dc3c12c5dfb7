//go:build !goexperiment.runtimesecret

package hardened

// Secretly only runs f, since this build does not enable runtime/secret.
func Secretly(f func()) { f() }
