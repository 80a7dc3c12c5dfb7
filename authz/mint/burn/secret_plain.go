//go:build !goexperiment.runtimesecret

package burn

// secretly runs f. The build did not enable runtime/secret.
func secretly(f func()) { f() }
