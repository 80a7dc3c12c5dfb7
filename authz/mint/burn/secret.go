//go:build goexperiment.runtimesecret

package burn

import "runtime/secret"

// secretly has the runtime erase what f used, where it can: within the process that is about to end anyway.
func secretly(f func()) { secret.Do(f) }
