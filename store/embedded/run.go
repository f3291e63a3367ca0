//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// defaults are settings for a small server on a developer's machine.
var defaults = map[string]string{
	"max_connections": "200", // a pool or two, and psql
	"shared_buffers":  "64MB",
	"huge_pages":      "off", // in a container, asking for them may end in SIGBUS
}

// runServer starts Postgres on a free port and returns when it accepts connections there.
func runServer(
	ctx context.Context, home *folder, bin string, parameters map[string]string, log *serverLog, p *progress,
) (*process, int, error) {
	program := filepath.Join(bin, "postgres")
	deadline := time.Now().Add(2 * stopGrace)
	for attempt := 0; ; attempt++ {
		port, err := freePort()
		if err != nil {
			return nil, 0, err
		}
		log.mark()
		postmaster, err := supervise(home.account, stopGrace, log.File, program, arguments(home, port, parameters)...)
		if err != nil {
			return nil, 0, fmt.Errorf("run postgres: %w", err)
		}
		err = p.waiting("waiting for Postgres to start", func() error {
			return awaitReady(ctx, home, postmaster, port)
		})
		if err == nil {
			return postmaster, port, nil
		}
		_ = postmaster.stop()
		output := log.tail()
		// Another program took the port between freePort and the server's bind.
		taken := strings.Contains(output, "Address already in use") && attempt < 10
		// The sessions of a server that was killed keep its shared memory until they notice.
		lingering := strings.Contains(output, "pre-existing shared memory block") && time.Now().Before(deadline)
		if ctx.Err() != nil || !taken && !lingering {
			return nil, 0, fmt.Errorf("postgres did not start: %w%s", err, output)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, 0, fmt.Errorf("postgres did not start: %w%s", err, output)
		}
	}
}

func arguments(home *folder, port int, parameters map[string]string) []string {
	settings := maps.Clone(defaults)
	maps.Copy(settings, parameters)
	maps.Copy(settings, map[string]string{
		"port":                    strconv.Itoa(port),
		"listen_addresses":        "127.0.0.1",
		"unix_socket_directories": "",
		"log_destination":         "stderr",
		"logging_collector":       "off",
	})
	args := []string{"-D", home.cluster()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// awaitReady waits until the server's pid file says that it is ready. Only then does the port
// belong to this server for certain, so that a password may be sent to it.
func awaitReady(ctx context.Context, home *folder, postmaster *process, port int) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-postmaster.done:
			return fmt.Errorf("it exited early (%s)", postmaster.outcome())
		case <-ctx.Done():
			return fmt.Errorf("not ready in time: %w", context.Cause(ctx))
		case <-ticker.C:
			if p, err := home.readPIDFile(); err != nil {
				return err
			} else if p.ready && p.port == port {
				return nil
			}
		}
	}
}

// prepareDatabase checks that the owner can connect to the database. At the first start it creates
// the database.
func prepareDatabase(ctx context.Context, url string) error {
	err := ping(ctx, url, database, "")
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "3D000" { // invalid_catalog_name: no such database
		err = ping(ctx, url, "postgres", "CREATE DATABASE "+pgx.Identifier{database}.Sanitize())
	}
	if err != nil {
		return fmt.Errorf("postgres runs but accepts no session: %w", err)
	}
	return nil
}

// ping connects and runs a statement. It tries again while the server does not accept sessions yet.
func ping(ctx context.Context, url, name, statement string) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	config.Database = name
	for {
		err := func() error {
			conn, err := pgx.ConnectConfig(ctx, config)
			if err != nil {
				return err
			}
			defer conn.Close(context.WithoutCancel(ctx))
			_, err = conn.Exec(ctx, statement)
			return err
		}()
		var pg *pgconn.PgError
		isStarting := errors.As(err, &pg) && pg.Code == "57P03" || // cannot_connect_now
			errors.Is(err, syscall.ECONNREFUSED)
		if err == nil || !isStarting {
			return err
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return err
		}
	}
}
