package storetest

import (
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lumen/store/auth"
	"lumen/store/owner"
)

// Database is a database of one test. It is dropped, with its roles and its open sessions, when the
// test that made it has ended. Parallel subtests may call its methods.
type Database struct {
	t       testing.TB
	cluster *cluster
	name    string

	mu        sync.Mutex
	superuser *pgxpool.Pool
	auth      *auth.Auth
	owner     *owner.Owner
	roles     []string
}

// New returns a migrated database without any rows.
func New(t testing.TB) *Database {
	t.Helper()
	cluster := require(t)
	return create(t, cluster, cluster.template())
}

// Empty returns a database without any migration. The roles lumen_app and that of AppURL exist,
// because they belong to the cluster.
func Empty(t testing.TB) *Database {
	t.Helper()
	return create(t, require(t), "template0")
}

func create(t testing.TB, c *cluster, template string) *Database {
	t.Helper()
	name, err := c.create(template)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	d := &Database{t: t, cluster: c, name: name}
	t.Cleanup(d.drop)
	return d
}

func (d *Database) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.cluster.drop(d.name); err != nil {
		d.t.Errorf("storetest: %v", err)
	}
	// The roles may own objects in the database.
	if err := d.cluster.dropRoles(d.roles...); err != nil {
		d.t.Errorf("storetest: %v", err)
	}
}

// OwnerURL returns the URL of the owner of the tables: the superuser, or a role without power with
// LUMEN_TEST_OWNER=weak.
func (d *Database) OwnerURL() string { return d.cluster.url(d.name, d.cluster.owner) }

// AppURL returns the URL of the service's role, a login that is a member of lumen_app and has no
// other rights.
func (d *Database) AppURL() string { return d.cluster.url(d.name, d.cluster.app) }

// SuperuserURL returns a URL for injecting faults, for dumps and for reading the catalogue. Its
// role is a superuser unless LUMEN_TEST_DATABASE_URL names another role.
func (d *Database) SuperuserURL() string { return d.cluster.url(d.name, login{}) }

// URLFor returns the URL of another login for this database.
func (d *Database) URLFor(user, password string) string {
	return d.cluster.url(d.name, login{user, password})
}

// Superuser returns a pool of at most four connections of the superuser. It is closed when the test
// that made the database has ended.
func (d *Database) Superuser() *pgxpool.Pool {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.superuser != nil {
		return d.superuser
	}
	config, err := pgxpool.ParseConfig(d.SuperuserURL())
	if err != nil {
		d.t.Fatalf("storetest: %v", err)
	}
	config.MaxConns = 4
	// Prepared statements would break, because tests change tables.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	pool, err := pgxpool.NewWithConfig(d.t.Context(), config)
	if err != nil {
		d.t.Fatalf("storetest: %v", err)
	}
	d.superuser = pool
	d.t.Cleanup(pool.Close)
	return pool
}

// NewRole makes a login with these attributes, such as "SUPERUSER" or "BYPASSRLS IN ROLE
// lumen_app", and returns its URL for this database. The role is dropped together with the
// database.
func (d *Database) NewRole(t testing.TB, attributes string) (url string) {
	t.Helper()
	role := login{d.cluster.newName() + "_role", randomText()}
	// The password comes last, because exec removes it from its error.
	err := d.cluster.admin.exec("CREATE ROLE " + role.user + " LOGIN " + attributes +
		" PASSWORD '" + role.password + "'")
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	if err := d.cluster.maker.exec("GRANT CONNECT ON DATABASE " + d.name + " TO " + role.user); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.roles = append(d.roles, role.user)
	return d.URLFor(role.user, role.password)
}
