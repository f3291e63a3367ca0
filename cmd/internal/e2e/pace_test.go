//go:build !race

package e2e

import "time"

// atOnce is the longest time that a reply may take, whatever the request is.
const atOnce = time.Second
