package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"lumen/store/schema"
)

// cluster is the server with the roles and the migrated template that the tests of one binary need.
type cluster struct {
	server *server
	name   string // the prefix of all databases and roles of this binary
	count  atomic.Int64

	owner login // owns the databases; zero when the server's superuser does
	app   login // the service's role

	// There are two sessions, so that a test that ends does not wait for one that starts. maker is
	// a session of the owner.
	maker, admin *session
}

// startCluster finds a server and prepares it.
func startCluster() (_ *cluster, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	weak, err := weakOwner()
	if err != nil {
		return nil, err
	}
	server, err := findServer(ctx)
	if err != nil {
		return nil, &noServerError{err}
	}
	c := &cluster{server: server, name: "lumen_test_" + randomText()[:12], admin: &session{url: server.url}}
	c.maker = &session{url: server.url}
	err = c.prepare(ctx, weak)
	if err == nil {
		err = c.announce()
	}
	if err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

// announce prints which Postgres the tests run on.
func (c *cluster) announce() error {
	return c.admin.use(func(ctx context.Context, conn *pgx.Conn) error {
		var version string
		if err := conn.QueryRow(ctx, "SHOW server_version").Scan(&version); err != nil {
			return err
		}
		say("the tests run on Postgres %s: %s", version, c.server.origin)
		return nil
	})
}

// weakOwner reports whether the databases belong to a weak owner.
func weakOwner() (bool, error) {
	switch owner := os.Getenv(ownerVariable); owner {
	case "":
		return false, nil
	case "weak":
		return true, nil
	default:
		return false, fmt.Errorf(`%s is %q; it may be "weak" or empty`, ownerVariable, owner)
	}
}

// prepare makes the owner, the template and the service's role. The template's migration makes
// lumen_app, of which the service's role is a member.
func (c *cluster) prepare(ctx context.Context, weak bool) error {
	if _, err := urlFor(c.server.url, "", login{}); err != nil {
		return err
	}
	if weak {
		if err := c.makeOwner(); err != nil {
			return err
		}
	}
	if err := c.maker.exec("CREATE DATABASE " + c.template() + " TEMPLATE template0"); err != nil {
		return err
	}
	if err := c.migrate(ctx, c.url(c.template(), c.owner)); err != nil {
		return err
	}
	// Postgres makes no database from a template that has a session.
	if err := c.maker.exec("ALTER DATABASE " + c.template() + " ALLOW_CONNECTIONS false"); err != nil {
		return err
	}
	app := login{c.name + "_serve", randomText()}
	err := c.admin.exec("CREATE ROLE " + app.user + " LOGIN PASSWORD '" + app.password + "' IN ROLE lumen_app")
	if err != nil {
		return err
	}
	c.app = app
	return nil
}

// makeOwner makes the weak owner. A login of the server without power is that owner already.
func (c *cluster) makeOwner() error {
	var isPowerful bool
	err := c.admin.use(func(ctx context.Context, conn *pgx.Conn) error {
		const query = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
		return conn.QueryRow(ctx, query).Scan(&isPowerful)
	})
	if err != nil || !isPowerful {
		return err
	}
	owner := login{c.name + "_owner", randomText()}
	err = c.admin.exec("CREATE ROLE " + owner.user +
		" LOGIN NOSUPERUSER NOBYPASSRLS CREATEDB CREATEROLE PASSWORD '" + owner.password + "'")
	if err != nil {
		return err
	}
	c.owner = owner
	c.maker = &session{url: c.url("", owner)}
	return nil
}

func (c *cluster) migrate(ctx context.Context, url string) error {
	migrator, err := schema.Open(url)
	if err != nil {
		return err
	}
	_, err = migrator.Up(ctx)
	var unsafe *schema.UnsafeRoleError
	if errors.As(err, &unsafe) { // a test of package schema shows what differs, and needs a database for that
		err = nil
	}
	return errors.Join(err, migrator.Close())
}

func (c *cluster) template() string { return c.name + "_template" }

// newName returns an unused name for a database or a role.
func (c *cluster) newName() string { return c.name + "_" + strconv.FormatInt(c.count.Add(1), 10) }

// url cannot fail: prepare has parsed the server's URL.
func (c *cluster) url(database string, as login) string {
	url, _ := urlFor(c.server.url, database, as)
	return url
}

// create makes a database, owned by the owner, and returns its name. Owners of other tests' databases
// cannot connect to it. Otherwise they could use lumen_janitor there, of which they are members.
func (c *cluster) create(template string) (string, error) {
	name := c.newName()
	for _, statement := range []string{
		"CREATE DATABASE " + name + " TEMPLATE " + template,
		"REVOKE CONNECT ON DATABASE " + name + " FROM PUBLIC",
		"GRANT CONNECT ON DATABASE " + name + " TO " + c.app.user,
	} {
		if err := c.maker.exec(statement); err != nil {
			return name, err
		}
	}
	return name, nil
}

// drop removes a database and ends the sessions in it.
func (c *cluster) drop(name string) error {
	err := c.admin.exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42501" {
		// Only a superuser may end the sessions of other roles. Without FORCE, Postgres waits for
		// sessions that are about to end.
		err = c.admin.exec("DROP DATABASE IF EXISTS " + name)
	}
	return err
}

func (c *cluster) dropRoles(names ...string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, c.admin.exec("DROP ROLE IF EXISTS "+name))
	}
	return errors.Join(errs...)
}

// stop stops the server. It first drops the databases and roles of this binary, if other programs
// go on to use the server.
func (c *cluster) stop() error {
	var errs []error
	if c.server.shared {
		errs = append(errs, c.drop(c.template()))
	}
	c.maker.close()
	for _, role := range []login{c.app, c.owner} {
		if c.server.shared && role.user != "" {
			errs = append(errs, c.dropRoles(role.user))
		}
	}
	c.admin.close()
	return errors.Join(append(errs, c.server.stop())...)
}
