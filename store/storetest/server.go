package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// server is a running Postgres.
type server struct {
	url    string // of a superuser, or of a role with CREATEDB and CREATEROLE
	shared bool   // others use it, too, so that roles and databases must go with the tests
	stop   func() error
}

// startTimeout bounds the way to a running server. The first start of the embedded one may have to fetch it.
const startTimeout = 5 * time.Minute

// findServer goes through the sources in the order that the package's documentation names.
func findServer(ctx context.Context) (*server, error) {
	source, url := os.Getenv(sourceVariable), os.Getenv(urlVariable)
	switch source {
	case "embedded":
		return startEmbedded(ctx)
	case "", "testcontainers":
	default:
		return nil, fmt.Errorf(`%s is %q; it may be "testcontainers", "embedded" or nothing`, sourceVariable, source)
	}
	if url != "" {
		return &server{url: url, shared: true, stop: func() error { return nil }}, nil
	}

	container, err := startContainer(ctx)
	if err == nil {
		return container, nil
	}
	if source == "testcontainers" {
		return nil, fmt.Errorf("testcontainers: %w", err)
	}
	say("the embedded Postgres takes testcontainers' place: %v", err)
	stand, embeddedErr := startEmbedded(ctx)
	if embeddedErr != nil {
		return nil, errors.Join(fmt.Errorf("testcontainers: %w", err), embeddedErr)
	}
	return stand, nil
}

// oneLine makes a message of Docker's, which may have many lines, fit on one.
func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}
