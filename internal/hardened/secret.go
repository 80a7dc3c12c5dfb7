//go:build goexperiment.runtimesecret

package hardened

import "runtime/secret"

// Secretly runs f and, on platforms that support it, erases the memory that f used.
func Secretly(f func()) { secret.Do(f) }
