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
	origin string // where it comes from, for a person
	shared bool   // other programs use it, too: the tests must drop their roles and databases
	stop   func() error
}

// startTimeout bounds the time until a server runs. The first start of the embedded one may have to
// fetch it.
const startTimeout = 5 * time.Minute

// noServerError reports that there is no Postgres to test with.
type noServerError struct{ reason error }

func (e *noServerError) Error() string {
	return fmt.Sprintf(`there is no Postgres to test with:
%v
Start Docker, or install Postgres 14 or newer, or set %s to the URL of a superuser.
CONTRIBUTING.md describes the variables.`, e.reason, urlVariable)
}

// findServer tries the sources in the order that the documentation of the package names.
func findServer(ctx context.Context) (*server, error) {
	source, url := os.Getenv(sourceVariable), os.Getenv(urlVariable)
	switch source {
	case "embedded":
		return startEmbedded(ctx, "embedded, as "+sourceVariable+" asks")
	case "", "testcontainers":
	default:
		return nil, fmt.Errorf(`%s is %q; it may be "testcontainers", "embedded" or empty`, sourceVariable, source)
	}
	if url != "" {
		keep := func() error { return nil }
		return &server{url: url, origin: "the server of " + urlVariable, shared: true, stop: keep}, nil
	}

	container, err := startContainer(ctx)
	if err == nil {
		return container, nil
	}
	err = fmt.Errorf("testcontainers: %w", err)
	if source == "testcontainers" {
		return nil, err
	}
	replacement, embeddedErr := startEmbedded(ctx, "embedded; "+err.Error())
	if embeddedErr != nil {
		return nil, errors.Join(err, embeddedErr)
	}
	return replacement, nil
}

// oneLine joins the lines of a message, such as those of Docker's.
func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}
