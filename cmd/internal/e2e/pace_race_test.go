//go:build race

package e2e

import "time"

// atOnce allows for the race detector, which slows deep recursion down by more than ten times.
const atOnce = 10 * time.Second
