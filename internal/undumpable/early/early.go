// Package early makes a program that imports it undumpable before most other packages are initialised:
// about 2 ms after the start instead of 15 ms. A process that has attached earlier stays attached.
package early

import "github.com/burnkey/burnkey/internal/undumpable"

// Err says why the program could not be made undumpable. It is nil on success.
var Err = undumpable.Set()
