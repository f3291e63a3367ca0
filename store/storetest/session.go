package storetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// login is a role and its password. The zero value stands for the login in the server's URL.
type login struct{ user, password string }

// urlFor returns the server's URL with another database, and with another login unless it is zero.
func urlFor(server, database string, as login) (string, error) {
	u, err := url.Parse(server)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		// The error of url.Parse quotes the password.
		return "", fmt.Errorf("%s must look like postgres://user:password@host:5432/database", urlVariable)
	}
	// In the query of a URL these win over its path and its user.
	query := u.Query()
	query.Del("dbname")
	query.Del("database")
	if as != (login{}) {
		query.Del("user")
		query.Del("password")
		u.User = url.UserPassword(as.user, as.password)
	}
	u.RawQuery = query.Encode()
	if database != "" {
		u.Path, u.RawPath = "/"+database, ""
	}
	return u.String(), nil
}

// randomText returns a password, or a name that no other test binary on the same server uses.
func randomText() string { return strings.ToLower(rand.Text()) }

// session is one connection that runs one statement at a time. It connects at the first use, and
// again after the connection broke. A pool would have goroutines, which tests for leaks would find.
type session struct {
	url string

	mu   sync.Mutex
	conn *pgx.Conn
}

// statementTimeout ends a statement that hangs. Postgres itself waits 5 s for the sessions of a
// database to end.
const statementTimeout = time.Minute

// exec runs the statements in order, each in a transaction of its own.
func (s *session) exec(statements ...string) error {
	return s.use(func(ctx context.Context, conn *pgx.Conn) error {
		for _, statement := range statements {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", strings.SplitN(statement, " PASSWORD ", 2)[0], err)
			}
		}
		return nil
	})
}

func (s *session) use(work func(context.Context, *pgx.Conn) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// The context of a test has ended when the test cleans up.
	ctx, cancel := context.WithTimeout(context.Background(), statementTimeout)
	defer cancel()
	if s.conn == nil || s.conn.IsClosed() {
		conn, err := pgx.Connect(ctx, s.url)
		if err != nil {
			return err
		}
		s.conn = conn
	}
	return work(ctx, s.conn)
}

func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.conn.Close(ctx)
		s.conn = nil
	}
}
