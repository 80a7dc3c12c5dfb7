//go:build !goexperiment.runtimesecret

package burn

// secretly only runs f, since this build does not enable runtime/secret.
func secretly(f func()) { f() }
