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

// cluster is the server with what the tests of one binary need there: the roles and the migrated template.
type cluster struct {
	server *server
	name   string // all databases and roles of this binary begin with it
	count  atomic.Int64

	owner login // owns the databases; zero when that is the server's superuser
	app   login // the plain role

	// Two sessions, so that a test which ends does not wait for one that starts. The maker is the owner's.
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
		return nil, err
	}
	c := &cluster{server: server, name: "lumen_test_" + randomText()[:12], admin: &session{url: server.url}}
	c.maker = &session{url: server.url}
	if err := c.prepare(ctx, weak); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	return c, nil
}

func weakOwner() (bool, error) {
	switch owner := os.Getenv(ownerVariable); owner {
	case "":
		return false, nil
	case "weak":
		return true, nil
	default:
		return false, fmt.Errorf(`%s is %q; it may be "weak" or nothing`, ownerVariable, owner)
	}
}

// prepare makes the owner, then the template by migrating it, which makes lumen_app, then the plain role, its member.
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
	// A session in the template would keep databases from being made of it.
	if err := c.maker.exec("ALTER DATABASE " + c.template() + " ALLOW_CONNECTIONS false"); err != nil {
		return err
	}
	app := login{c.name + "_serve", randomText()}
	if err := c.admin.exec("CREATE ROLE " + app.user + " LOGIN PASSWORD '" + app.password + "' IN ROLE lumen_app"); err != nil {
		return err
	}
	c.app = app
	return nil
}

// makeOwner makes the weak owner. Where the server's own login has no power it is that owner already.
func (c *cluster) makeOwner() error {
	var powerful bool
	err := c.admin.use(func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user").Scan(&powerful)
	})
	if err != nil || !powerful {
		return err
	}
	owner := login{c.name + "_owner", randomText()}
	err = c.admin.exec("CREATE ROLE " + owner.user + " LOGIN NOSUPERUSER NOBYPASSRLS CREATEDB CREATEROLE PASSWORD '" + owner.password + "'")
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
	if errors.As(err, &unsafe) { // a test of package schema says what differs, and needs a database to do so
		err = nil
	}
	return errors.Join(err, migrator.Close())
}

func (c *cluster) template() string { return c.name + "_template" }

// newName returns a name for a database or a role that nobody has.
func (c *cluster) newName() string { return c.name + "_" + strconv.FormatInt(c.count.Add(1), 10) }

// url never fails: prepare has seen that the server's URL is one.
func (c *cluster) url(database string, as login) string {
	url, _ := urlFor(c.server.url, database, as)
	return url
}

// create makes a database, owned by the owner, and returns its name.
func (c *cluster) create(template string) (string, error) {
	name := c.newName()
	return name, c.maker.exec("CREATE DATABASE " + name + " TEMPLATE " + template)
}

// drop removes a database, whoever is still in it.
func (c *cluster) drop(name string) error {
	err := c.admin.exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)")
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "42501" {
		// No superuser, so it may not end the sessions of other roles; but it can wait for those that are on their way out.
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

// stop removes what this binary made, unless it goes with the server, and the server.
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
