package postgres

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// setting is a session setting that Lumen makes on its connections. A database or a role may have
// another default for it (ALTER DATABASE ... SET, ALTER ROLE ... SET), which must not change what a
// statement means or which rows it may touch.
type setting struct {
	name, value string
	how         how
}

// how is the way in which a setting reaches a session of the server.
type how int

const (
	// tracked settings are sent when a connection starts. PgBouncer keeps them for each client.
	tracked how = iota
	// untracked settings are sent when a connection starts. PgBouncer refuses them, so behind it
	// each transaction makes them.
	untracked
	// atBegin settings are sent when a connection starts. They cannot be set inside a transaction,
	// so behind PgBouncer the BEGIN statement sets them.
	atBegin
)

// settings apply to every connection: those of the service, in both its pools, and those of the
// operator's commands.
//
// default_transaction_read_only is not among them. It is the switch with which operators and hosted
// platforms stop writes, and each write that it stops fails with an error. Behind a pooler, BEGIN
// overrules the switch; then only /readyz reports it.
var settings = []setting{
	// Lets the operator find Lumen's sessions.
	{"application_name", "lumen", tracked},
	// Text must come back as it was sent.
	{"client_encoding", "UTF8", tracked},
	// Bun writes values into statements, where a backslash in a literal must be a plain backslash.
	{"standard_conforming_strings", "on", tracked},
	// Times that are read as text must be in ISO 8601 with an offset of zero.
	{"datestyle", "ISO, MDY", tracked},
	{"timezone", "UTC", tracked},
	// Digests and keys that are read as text must be in hexadecimal.
	{"bytea_output", "hex", untracked},
	// The catalogue must spell names as the expected description does (expected.json).
	{"quote_all_identifiers", "off", untracked},
	// I1: "off" would make every read of a protected table an error.
	{"row_security", "on", untracked},
	// I2: a writer must see what was committed while it waited for the lock of its email. A
	// snapshot taken before the wait would not show it.
	{"default_transaction_isolation", "read committed", atBegin},
	// I4: a write is acknowledged only after a durable commit.
	{"synchronous_commit", "on", untracked},
}

// serviceSettings apply to the connections of `lumen serve`. Its statements are short. One that
// takes long is worth less than the connection that it holds.
var serviceSettings = []setting{
	// I1: a name without a schema must mean Postgres's own function or operator. A role that may
	// create objects in the schema public could add one that matches an expression better, and its
	// code would run inside a merchant's statement. The service's statements name the schema of
	// Lumen's objects.
	{"search_path", "pg_catalog, pg_temp", untracked},
	{"statement_timeout", StatementTimeout, untracked},
	{"lock_timeout", "2s", untracked},
	{"idle_in_transaction_session_timeout", "10s", untracked},
	// A prepared statement has one good plan, which is made once.
	{"plan_cache_mode", "force_generic_plan", untracked},
}

// ownerSettings apply to the operator's commands. A migration has no time limit, and waits for
// other migrators.
var ownerSettings = []setting{
	// A name without a schema must mean Lumen's table, never a temporary one.
	{"search_path", "public, pg_temp", untracked},
	{"statement_timeout", "0", untracked},
	{"lock_timeout", "0", untracked},
	{"idle_in_transaction_session_timeout", "0", untracked},
}

// StatementTimeout is how long the server lets a statement of the service run.
const StatementTimeout = "5s"

// serverLimit is StatementTimeout as a duration.
const serverLimit = 5 * time.Second

// begin starts a transaction behind a pooler in transaction mode. set_config cannot set the
// isolation level there, because the first query of a transaction fixes it.
const begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

// Pooled describes how to work behind a pooler in transaction mode, such as PgBouncer.
type Pooled struct {
	// Begin is the statement that starts a transaction.
	Begin string
	// Local are the settings, by name, that each transaction makes.
	Local map[string]string
}

// BehindPooler prepares config for a pooler in transaction mode, and returns what each transaction
// has to do in place of the settings that it removes. No statement is prepared on such connections,
// because the next one may run in another session.
func BehindPooler(config *pgx.ConnConfig) Pooled {
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	p := Pooled{Begin: begin, Local: make(map[string]string)}
	for _, s := range slices.Concat(settings, serviceSettings) {
		if s.how == tracked {
			continue
		}
		if s.how == untracked {
			p.Local[s.name] = config.RuntimeParams[s.name]
		}
		delete(config.RuntimeParams, s.name)
	}
	p.Local["plan_cache_mode"] = "auto" // no statement is prepared, so Postgres plans each for its values
	return p
}

// text returns the start of a transaction as one text of two statements.
func (p Pooled) text() string {
	var calls []string
	for _, name := range slices.Sorted(maps.Keys(p.Local)) {
		calls = append(calls, "pg_catalog.set_config('"+name+"', '"+p.Local[name]+"', true)") // no value has a quote
	}
	return p.Begin + "; SELECT " + strings.Join(calls, ", ")
}
