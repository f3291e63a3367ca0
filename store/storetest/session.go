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

// login is a role and how it gets in. The zero value stands for the one that the server's own URL names.
type login struct{ user, password string }

// urlFor returns the server's URL with another database, and another login unless that is zero.
func urlFor(server, database string, as login) (string, error) {
	u, err := url.Parse(server)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		// Without the error, which would quote the password.
		return "", fmt.Errorf("%s has to look like postgres://user:password@host:5432/database", urlVariable)
	}
	// In the query they would win over what comes before it.
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

// randomText is for passwords, and for names that other test binaries on the same server do not use.
func randomText() string { return strings.ToLower(rand.Text()) }

// session is one connection, made when first used and again when it broke, that runs one statement at a time. It is no
// pool, because a pool has goroutines, which tests that look for leaked ones would find.
type session struct {
	url string

	mu   sync.Mutex
	conn *pgx.Conn
}

// statementTimeout is for a harness that hangs: Postgres itself waits five seconds for a database to be left.
const statementTimeout = time.Minute

// exec runs the statements one after the other, each in a transaction of its own.
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
	// Not a test's context: it has ended when the test cleans up.
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
