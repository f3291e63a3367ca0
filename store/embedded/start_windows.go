package embedded

import (
	"context"
	"errors"
)

// Start returns an error: this package does not run Postgres on Windows.
func Start(context.Context, Config) (*Server, error) {
	return nil, errors.New("the embedded Postgres does not run on Windows: " +
		"use WSL, or a Postgres of your own with `lumen serve`")
}
