package embedded

import (
	"context"
	"errors"
)

var errWindows = errors.New("the embedded Postgres does not run on Windows: " +
	"use WSL, or a Postgres of your own with `lumen serve`")

// Start returns an error: this package does not run Postgres on Windows.
func Start(context.Context, Config) (*Server, error) { return nil, errWindows }

// WriteSecret returns an error, as there is no data folder on Windows.
func WriteSecret(string, string) error { return errWindows }
