//go:build race

package e2e

import "time"

// atOnce is larger with the race detector, which slows deep recursion down by a factor of more than
// ten.
const atOnce = 10 * time.Second
