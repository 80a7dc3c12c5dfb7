//go:build goexperiment.runtimesecret

package burn

import "runtime/secret"

// secretly runs f and, on platforms that support it, erases the memory that f used.
func secretly(f func()) { secret.Do(f) }
