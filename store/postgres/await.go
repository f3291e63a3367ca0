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

// retryInterval is the pause between two attempts to reach a server that is not available yet.
const retryInterval = time.Second / 4

// Await waits until the server of config answers. While the server is not available yet, Await
// tries again until timeout has passed, and calls waiting once, with the reason. Then it returns
// the last error. Any other error, such as a wrong password, is returned at once.
func Await(ctx context.Context, config *pgx.ConnConfig, timeout time.Duration, waiting func(reason error)) error {
	began := time.Now()
	for reported := false; ; reported = true {
		err := reach(ctx, config)
		if err == nil || !isNotThereYet(err) || time.Since(began) >= timeout {
			return err
		}
		if !reported {
			waiting(err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(min(retryInterval, timeout-time.Since(began))):
		}
	}
}

// reach connects and pings, and returns nil if the server answers. Connecting is not enough: a
// pooler accepts connections before it has reached a server.
func reach(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config) // takes at most ConnectTimeout for each host
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

// absent are the system's errors if no process listens, if the network has no route, or if a proxy
// has no server behind it.
var absent = []syscall.Errno{
	syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
	syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENETUNREACH, syscall.ENOENT,
}

// isNotThereYet reports whether a failed connection may succeed later without a change by the
// operator, as when the server and the program that uses it start together.
func isNotThereYet(err error) bool {
	var refused *pgconn.PgError
	var lookUp *net.DNSError
	var number syscall.Errno
	switch {
	case errors.As(err, &refused):
		// The server is stopping, has crashed, is starting, or has no free connection.
		return slices.Contains([]string{"57P01", "57P02", "57P03", "53300"}, refused.Code)
	case errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &lookUp), isTimeout(err), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true
	}
	return errors.As(err, &number) && slices.Contains(absent, number)
}
