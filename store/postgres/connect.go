package postgres

import (
	"context"
	"crypto/tls"
	"database/sql/driver"
	"errors"
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
	f := e.failure()
	return "can't " + f.verb + " " + name + " at " + strings.Join(e.Hosts, ", ") + ": " + f.reason
}

// Advice says what to do about the error. source names what holds the connection string, such as a
// flag or a variable.
func (e *ConnectError) Advice(source string) string {
	return strings.ReplaceAll(e.failure().advice, "SOURCE", source)
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.cause }

// IsPooler reports whether a pooler refused a setting that Postgres accepts.
func (e *ConnectError) IsPooler() bool {
	var refused *pgconn.PgError
	return errors.As(e.cause, &refused) && strings.Contains(refused.Message, "unsupported startup parameter")
}

// failure is why no connection was made: what could not be done, the reason, and what to do about it. SOURCE
// in the advice stands for what holds the connection string.
type failure struct{ verb, reason, advice string }

const isServerThere = "check the host and the port in SOURCE, and that the server runs"

// refusals are why a server refuses a connection, by Postgres's code. The server was reached, so none of
// them says that it was not.
var refusals = map[string]failure{
	"28000": {"log in to", "the role does not exist, or the server's pg_hba.conf does not admit it",
		"check the user and sslmode in SOURCE, and pg_hba.conf"},
	"28P01": {"log in to", "the server refuses the user or the password", "check both in SOURCE"},
	"3D000": {"open", "it does not exist", "check its name in SOURCE, or create it"},
	"42501": {"open", "the role lacks CONNECT", "grant it to the user in SOURCE with GRANT CONNECT ON DATABASE"},
	"42704": {"open", "the server does not support a parameter of the connection string", "check the parameters in SOURCE"},
	"53300": {"connect to", "the server has no free connection", "close other connections, or raise max_connections"},
	"57P03": {"connect to", "the server is starting or stopping", "try again in a moment"},
}

func (e *ConnectError) failure() failure {
	var refused *pgconn.PgError
	var lookUp *net.DNSError
	var certificate *tls.CertificateVerificationError
	var number syscall.Errno
	switch {
	case errors.As(e.cause, &refused):
		return e.refusal(refused.Code)
	case errors.As(e.cause, &lookUp):
		return failure{"reach", "the host is not found", "check the host in SOURCE"}
	case errors.Is(e.cause, context.Canceled):
		return failure{"reach", "canceled", "try again"}
	case isTimeout(e.cause):
		return failure{"reach", "no answer in time", isServerThere}
	case errors.As(e.cause, &certificate):
		return failure{
			"connect to", "the server's certificate can't be verified", "check sslrootcert and sslmode in SOURCE",
		}
	case errors.As(e.cause, &number):
		return failure{"reach", number.Error(), isServerThere}
	case strings.Contains(e.cause.Error(), "refused TLS"): // pgx has no value for it
		return failure{
			"connect to", "the server has no TLS, and the connection string requires it",
			"turn TLS on in the server, or change sslmode in SOURCE",
		}
	}
	return failure{"reach", "the connection failed", isServerThere}
}

func (e *ConnectError) refusal(code string) failure {
	f, ok := refusals[code]
	if !ok {
		f = failure{"connect to", "the server refuses the connection", "check SOURCE and the server's log"}
	}
	if e.IsPooler() {
		f.advice = "SOURCE names a pooler: serve needs LUMEN_DATABASE_POOLER=transaction, " +
			"and other commands need the URL of Postgres itself"
	}
	f.reason += " (" + code + ")"
	return f
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
