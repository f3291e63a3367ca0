package postgres

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ConnectError reports that no connection could be made. Its text holds the host, the port, the
// database and the reason, in Lumen's own words with Postgres's code. It holds nothing else of the
// connection string, and no text of the server. The cause may hold more, and is there for
// errors.As.
type ConnectError struct {
	Hosts    []string // with their ports
	Database string
	cause    error
}

func newConnectError(config *pgx.ConnConfig, cause error) *ConnectError {
	e := &ConnectError{Database: config.Database, cause: cause}
	add := func(host string, port uint16) {
		if address := net.JoinHostPort(host, strconv.Itoa(int(port))); !slices.Contains(e.Hosts, address) {
			e.Hosts = append(e.Hosts, address)
		}
	}
	add(config.Host, config.Port)
	for _, fallback := range config.Fallbacks {
		add(fallback.Host, fallback.Port)
	}
	return e
}

func (e *ConnectError) Error() string {
	name := "the database"
	if e.Database != "" {
		name += " " + strconv.Quote(e.Database)
	}
	return "can't reach " + name + " at " + strings.Join(e.Hosts, ", ") + ": " + e.reason()
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.cause }

// IsPooler reports whether a pooler refused a setting that Postgres accepts.
func (e *ConnectError) IsPooler() bool {
	var refused *pgconn.PgError
	return errors.As(e.cause, &refused) && strings.Contains(refused.Message, "unsupported startup parameter")
}

// reasons are the reasons why a server refuses a connection, by Postgres's code.
var reasons = map[string]string{
	"28000": "the server refuses the login, by its pg_hba.conf or for lack of TLS",
	"28P01": "the server refuses the password",
	"3D000": "the database does not exist",
	"42501": "the login may not connect to the database",
	"42704": "the server does not know a parameter of the connection string",
	"53300": "the server has no free connection",
	"57P03": "the server is starting or stopping",
}

func (e *ConnectError) reason() string {
	var refused *pgconn.PgError
	var lookUp *net.DNSError
	var certificate *tls.CertificateVerificationError
	var number syscall.Errno
	switch {
	case errors.As(e.cause, &refused):
		reason, ok := reasons[refused.Code]
		if !ok {
			reason = "the server refuses the connection"
		}
		return fmt.Sprintf("%s (%s)", reason, refused.Code)
	case errors.As(e.cause, &lookUp):
		return "the host is not found"
	case errors.Is(e.cause, context.Canceled):
		return "canceled"
	case isTimeout(e.cause):
		return "no answer in time"
	case errors.As(e.cause, &certificate):
		return "the server's certificate can't be verified"
	case errors.As(e.cause, &number):
		return number.Error()
	case strings.Contains(e.cause.Error(), "refused TLS"): // pgx has no error value for this
		return "the server has no TLS, and the connection string demands it"
	}
	return "the connection failed"
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// Connector returns a connector whose errors are *ConnectError.
func Connector(to driver.Connector, config *pgx.ConnConfig) driver.Connector {
	return connector{to, config}
}

type connector struct {
	driver.Connector
	config *pgx.ConnConfig
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, newConnectError(c.config, err)
	}
	return conn, nil
}
