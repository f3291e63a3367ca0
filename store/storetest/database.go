package storetest

import (
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lumen/store/auth"
	"lumen/store/owner"
)

// Database is a database that one test has for itself. It is dropped when the test that made it has ended, with its roles
// and with whoever is still connected. Its methods may be called from parallel subtests.
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

// Empty returns a database in which nothing was ever migrated. The roles lumen_app and that of AppURL exist, as they
// belong to the cluster.
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
	// After the database, where they may own things.
	if err := d.cluster.dropRoles(d.roles...); err != nil {
		d.t.Errorf("storetest: %v", err)
	}
}

// OwnerURL is for the owner of the tables: the superuser, or with LUMEN_TEST_OWNER=weak a role without power.
func (d *Database) OwnerURL() string { return d.cluster.url(d.name, d.cluster.owner) }

// AppURL is for the plain role, a login that is a member of lumen_app and nothing else. It is what the service gets.
func (d *Database) AppURL() string { return d.cluster.url(d.name, d.cluster.app) }

// SuperuserURL is for injecting faults, for dumps and for reading the catalogue. It is for a superuser unless
// LUMEN_TEST_DATABASE_URL names somebody else.
func (d *Database) SuperuserURL() string { return d.cluster.url(d.name, login{}) }

// URLFor is for another login in this database.
func (d *Database) URLFor(user, password string) string {
	return d.cluster.url(d.name, login{user, password})
}

// Superuser returns connections of the superuser, at most four. They end with the test that made the database.
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
	// Nothing is prepared beforehand, since tests change tables under it.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	pool, err := pgxpool.NewWithConfig(d.t.Context(), config)
	if err != nil {
		d.t.Fatalf("storetest: %v", err)
	}
	d.superuser = pool
	d.t.Cleanup(pool.Close)
	return pool
}

// NewRole makes a login with these attributes, such as "SUPERUSER" or "BYPASSRLS IN ROLE lumen_app", and returns its URL
// for this database. The role is dropped together with the database.
func (d *Database) NewRole(t testing.TB, attributes string) (url string) {
	t.Helper()
	role := login{d.cluster.newName() + "_role", randomText()}
	// The password comes last, so that it is cut off an error.
	if err := d.cluster.admin.exec("CREATE ROLE " + role.user + " LOGIN " + attributes + " PASSWORD '" + role.password + "'"); err != nil {
		t.Fatalf("storetest: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.roles = append(d.roles, role.user)
	return d.URLFor(role.user, role.password)
}
