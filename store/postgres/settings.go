package postgres

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// setting is a session setting that Lumen makes on its own connections. A database or a role may have
// another default for it (ALTER DATABASE ... SET, ALTER ROLE ... SET), which must change neither what a
// statement means nor what it may touch.
type setting struct {
	name, value string
	how         how
}

// how says how a setting reaches a session of the server.
type how int

const (
	// tracked settings are sent when a connection starts. PgBouncer keeps them for each of its clients.
	tracked how = iota
	// untracked settings are sent when a connection starts. PgBouncer refuses them, so behind it they are
	// made in each transaction.
	untracked
	// atBegin settings are sent when a connection starts. In a transaction that is under way they come too
	// late, so behind PgBouncer the BEGIN statement says the same.
	atBegin
)

// settings hold for every connection: of the service, of both its pools, and of the operator's commands.
//
// default_transaction_read_only is not set for a connection. It is the switch with which operators and hosted
// platforms stop writes, and each write that it stops fails loudly. Behind a pooler BEGIN overrules it. Then
// /readyz alone says what the switch is for.
var settings = []setting{
	// For the operator, who looks for Lumen's sessions.
	{"application_name", "lumen", tracked},
	// Text comes back as it was sent.
	{"client_encoding", "UTF8", tracked},
	// Bun writes values into statements: a backslash in a literal must be a backslash.
	{"standard_conforming_strings", "on", tracked},
	// Times that are read as text must be in ISO 8601, with an offset of zero.
	{"datestyle", "ISO, MDY", tracked},
	{"timezone", "UTC", tracked},
	// Digests and keys that are read as text must be in hexadecimal.
	{"bytea_output", "hex", untracked},
	// The catalogue must spell names as the expected description does.
	{"quote_all_identifiers", "off", untracked},
	// I1: off turns every read of a protected table into an error.
	{"row_security", "on", untracked},
	// I2: a writer must see what was committed while it waited for the address's lock. A snapshot that was
	// taken before the wait does not show it.
	{"default_transaction_isolation", "read committed", atBegin},
	// I4: the reply follows a commit that is durable.
	{"synchronous_commit", "on", untracked},
}

// serviceSettings hold for the connections of `lumen serve`. Its statements are short, and one that is not is worth less
// than the connection it holds.
var serviceSettings = []setting{
	// I1: a name without a schema must mean Postgres's own function or operator. A role that may create objects in the
	// schema public could add one that fits an expression better, and would run code in the middle of a merchant's
	// statement. The service's statements name the schema of Lumen's objects.
	{"search_path", "pg_catalog, pg_temp", untracked},
	{"statement_timeout", StatementTimeout, untracked},
	{"lock_timeout", "2s", untracked},
	{"idle_in_transaction_session_timeout", "10s", untracked},
	// A prepared statement has one good plan, which is made once.
	{"plan_cache_mode", "force_generic_plan", untracked},
}

// ownerSettings hold for the operator's commands: a migration takes as long as it takes, and waits for
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

// begin starts a transaction behind a pooler in transaction mode. set_config could not set the isolation
// level there: the first query of a transaction fixes it.
const begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"

// Pooled says how to work behind a pooler in transaction mode, such as PgBouncer.
type Pooled struct {
	// Begin is the statement that starts a transaction.
	Begin string
	// Local are the settings to make in each transaction, by name.
	Local map[string]string
}

// BehindPooler makes config fit for a pooler in transaction mode, and returns what each transaction has to
// begin with instead. Nothing is prepared on such connections: the next statement may meet another session.
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
	p.Local["plan_cache_mode"] = "auto" // nothing is prepared: each statement is planned for its values
	return p
}

// text is the start of a transaction as one text of two statements.
func (p Pooled) text() string {
	var calls []string
	for _, name := range slices.Sorted(maps.Keys(p.Local)) {
		calls = append(calls, "pg_catalog.set_config('"+name+"', '"+p.Local[name]+"', true)") // no value has a quote
	}
	return p.Begin + "; SELECT " + strings.Join(calls, ", ")
}
