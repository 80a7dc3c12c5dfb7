//go:build goexperiment.runtimesecret

package burn

import "runtime/secret"

// secretly makes the runtime erase the memory that f used, on platforms that support it.
func secretly(f func()) { secret.Do(f) }
