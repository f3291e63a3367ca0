package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/store/postgres"
	"lumen/store/storetest"
	"lumen/store/wall"
)

// allSettings are the settings of every session of Lumen, and the other values that the database or
// the role has in these tests.
var allSettings = map[string][2]string{
	"client_encoding":               {"UTF8", "LATIN1"},
	"standard_conforming_strings":   {"on", "off"},
	"datestyle":                     {"ISO, MDY", "German, DMY"},
	"timezone":                      {"UTC", "Asia/Kolkata"},
	"bytea_output":                  {"hex", "escape"},
	"quote_all_identifiers":         {"off", "on"},
	"row_security":                  {"on", "off"},
	"transaction_isolation":         {"read committed", "serializable"},
	"default_transaction_isolation": {"read committed", "serializable"},
	"synchronous_commit":            {"on", "off"},
}

var (
	serviceSettings = map[string][2]string{
		"statement_timeout": {"5s", "3s"}, "lock_timeout": {"2s", "3s"}, "idle_in_transaction_session_timeout": {"10s", "3s"},
		"search_path": {"pg_catalog, pg_temp", "nowhere"},
	}
	ownerSettings = map[string][2]string{
		"statement_timeout": {"0", "3s"}, "lock_timeout": {"0", "3s"}, "idle_in_transaction_session_timeout": {"0", "3s"},
		"search_path": {"public, pg_temp", "nowhere"},
	}
)

func TestSettingsApplyToEveryConnection(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"database", "role"} {
		db := storetest.New(t)
		login, owner := db.NewRole(t, "IN ROLE lumen_app"), db.NewRole(t, "SUPERUSER")
		for _, url := range []string{login, owner} {
			makeHostile(t, db, where, url)
		}
		t.Run("of the lookups, on the "+where, func(t *testing.T) {
			config, err := postgres.ParseService(login)
			require.NoError(t, err)
			requireSettings(t, open(t, config, nil), serviceSettings, map[string]string{"plan_cache_mode": "force_generic_plan"})
		})
		t.Run("of a connection string that has other ones, on the "+where, func(t *testing.T) {
			config, err := postgres.ParseService(login + "&TimeZone=Asia/Tokyo&Search_Path=public&SYNCHRONOUS_COMMIT=off&row_security=off&options=-c%20datestyle%3DGerman")
			require.NoError(t, err)
			requireSettings(t, open(t, config, nil), serviceSettings, nil)
		})
		t.Run("of the lookups behind a pooler, on the "+where, func(t *testing.T) {
			config, err := postgres.ParseService(login)
			require.NoError(t, err)
			pooled := postgres.BehindPooler(config)
			for name, value := range config.RuntimeParams { // PgBouncer refuses all others
				require.Contains(t, []string{"application_name", "client_encoding", "datestyle", "timezone", "standard_conforming_strings"}, name, value)
			}
			requireSettings(t, open(t, config, &pooled), serviceSettings, map[string]string{"plan_cache_mode": "auto", "default_transaction_isolation": "serializable"})
		})
		t.Run("of the operator's commands, on the "+where, func(t *testing.T) {
			config, err := postgres.ParseOwner(owner)
			require.NoError(t, err)
			requireSettings(t, open(t, config, nil), ownerSettings, nil)
		})
		t.Run("of tenants' statements, on the "+where, func(t *testing.T) {
			config, err := postgres.ParseService(login)
			require.NoError(t, err)
			requireSettings(t, walled(t, wall.NewConnector(config, scope), config), serviceSettings, map[string]string{"plan_cache_mode": "force_generic_plan"})
		})
		t.Run("of tenants' statements behind a pooler, on the "+where, func(t *testing.T) {
			config, err := postgres.ParseService(login)
			require.NoError(t, err)
			pooled := postgres.BehindPooler(config)
			connector := wall.NewPooledConnector(config, scope, pooled.Begin, pooled.Local)
			requireSettings(t, walled(t, connector, config), serviceSettings, map[string]string{"plan_cache_mode": "auto", "default_transaction_isolation": "serializable"})
		})
	}
}

func scope(context.Context) (merchant, customer string) { return "merchant_1", "" }

// makeHostile gives the database, or the login in it, other values for all settings.
func makeHostile(t *testing.T, db *storetest.Database, where, login string) {
	t.Helper()
	parsed, err := url.Parse(login)
	require.NoError(t, err)
	name := strings.TrimPrefix(parsed.Path, "/")
	whose := "DATABASE " + name
	if where == "role" {
		whose = "ROLE " + parsed.User.Username() + " IN DATABASE " + name
	}
	all := maps.Clone(allSettings)
	maps.Copy(all, serviceSettings)
	for setting, values := range all {
		if setting != "transaction_isolation" {
			_, err := db.Superuser().Exec(t.Context(), fmt.Sprintf("ALTER %s SET %s = '%s'", whose, setting, values[1]))
			require.NoError(t, err, setting)
		}
	}
}

// query returns the text that a statement selects.
type query func(ctx context.Context, statement string) (string, error)

func open(t *testing.T, config *pgx.ConnConfig, pooled *postgres.Pooled) query {
	t.Helper()
	pool := postgres.Open(config, pooled, 1)
	t.Cleanup(func() { _ = pool.Close() })
	return func(ctx context.Context, statement string) (string, error) {
		var rows []struct{ Value string }
		if err := pool.Query(ctx, &rows, statement); err != nil {
			return "", err
		}
		return rows[0].Value, nil
	}
}

func walled(t *testing.T, connector *wall.Connector, config *pgx.ConnConfig) query {
	t.Helper()
	pool := sql.OpenDB(postgres.Connector(connector, config))
	t.Cleanup(func() { _ = pool.Close() })
	return func(ctx context.Context, statement string) (value string, err error) {
		err = pool.QueryRowContext(ctx, statement).Scan(&value)
		return value, err
	}
}

func requireSettings(t *testing.T, ask query, more map[string][2]string, other map[string]string) {
	t.Helper()
	want := map[string]string{}
	for _, settings := range []map[string][2]string{allSettings, more} {
		for name, values := range settings {
			want[name] = values[0]
		}
	}
	maps.Copy(want, other)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		got, err := ask(t.Context(), "SELECT current_setting('"+name+"') AS value")
		require.NoError(t, err, name)
		require.Equal(t, want[name], got, name)
	}
}

// Lumen does not override an operator's read-only switch.
func TestReadOnlyDatabaseStaysReadOnly(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	parsed, err := url.Parse(db.AppURL())
	require.NoError(t, err)
	_, err = db.Superuser().Exec(t.Context(), "ALTER DATABASE "+strings.TrimPrefix(parsed.Path, "/")+" SET default_transaction_read_only = on")
	require.NoError(t, err)
	config, err := postgres.ParseService(db.AppURL())
	require.NoError(t, err)
	value, err := open(t, config, nil)(t.Context(), "SELECT current_setting('transaction_read_only') AS value")
	require.NoError(t, err)
	require.Equal(t, "on", value)
}
