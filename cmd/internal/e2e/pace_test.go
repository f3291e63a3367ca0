//go:build !race

package e2e

import "time"

// atOnce is how long an answer may take, whatever was asked.
const atOnce = time.Second
