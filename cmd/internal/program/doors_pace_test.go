//go:build !race

package program

import "time"

// atOnce is how long an answer may take, whatever was asked.
const atOnce = time.Second
