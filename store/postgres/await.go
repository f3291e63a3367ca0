package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// triesEvery is the pause between two tries to reach a server that is not there yet.
const triesEvery = time.Second / 4

// Await returns when the server of config answers. While it is not there yet, Await tries again for
// as long as timeout, and calls waiting once, with the reason. It returns the last error; other
// reasons, such as a wrong password, end it at once.
func Await(ctx context.Context, config *pgx.ConnConfig, timeout time.Duration, waiting func(reason error)) error {
	began := time.Now()
	for said := false; ; said = true {
		err := reach(ctx, config)
		if err == nil || !isNotThereYet(err) || time.Since(began) >= timeout {
			return err
		}
		if !said {
			waiting(err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(min(triesEvery, timeout-time.Since(began))):
		}
	}
}

// reach returns nil when a server answers. Before a pooler has reached one itself, it lets in and
// answers nothing.
func reach(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config) // within ConnectTimeout for each host
	if err != nil {
		return newConnectError(config, err)
	}
	ctx, cancel := context.WithTimeout(ctx, config.ConnectTimeout)
	defer cancel()
	defer func() { _ = conn.Close(ctx) }()
	if err := conn.Ping(ctx); err != nil {
		return newConnectError(config, err)
	}
	return nil
}

// absent are the errors of the system where nobody listens, the way there is missing, or a proxy
// has nobody behind it.
var absent = []syscall.Errno{
	syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
	syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENETUNREACH, syscall.ENOENT,
}

// isNotThereYet reports whether an error that kept a connection from being made may go away without
// anybody's doing, as when a server and what uses it are started together.
func isNotThereYet(err error) bool {
	var refused *pgconn.PgError
	var lookUp *net.DNSError
	var number syscall.Errno
	switch {
	case errors.As(err, &refused):
		// Stopping, crashed, starting, or with no connection to spare.
		return slices.Contains([]string{"57P01", "57P02", "57P03", "53300"}, refused.Code)
	case errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &lookUp), isTimeout(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	return errors.As(err, &number) && slices.Contains(absent, number)
}
