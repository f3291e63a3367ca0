package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store/postgres"
	"lumen/store/storetest"
)

// secret is part of every text, and must not be part of any error.
const secret = "hunter2"

func TestConnectionStringsThatAreRefused(t *testing.T) {
	t.Setenv("PGHOST", "elsewhere.example")
	t.Setenv("PGUSER", "somebody")
	for text, fault := range map[string]string{
		`"postgres://u:hunter2@host/db?sslmode=disable"`:                            "in quotes",
		`'postgres://u:hunter2@host/db?sslmode=disable'`:                            "in quotes",
		"`postgres://u:hunter2@host/db`":                                            "in quotes",
		` "postgres://u:hunter2@host/db" `:                                          "in quotes",
		"“postgres://u:hunter2@host/db?a=b”":                                        "neither a URL nor key=value text",
		"postgres://u:hunter2@host/db\n?sslmode=disable":                            "a line break",
		"postgres://u:hunter2@host/db\x00":                                          "control character",
		"postgres://u:hunter2\t@host/db":                                            "control character",
		"host=h password=hunter2\nport=1":                                           "a line break",
		"postgres://u:hun@ter2hunter2@host/db":                                      "@ has to be written %40",
		"postgres://u:hunter2@x@y@host:5432/db":                                     "@ has to be written %40",
		"postgres://u:p/hunter2@host/db":                                            "/ has to be written %2F",
		"postgres://u:7/hunter2@host:5432/db":                                       "/ has to be written %2F",
		"postgres://u:/hunter2@host/db":                                             "/ has to be written %2F",
		"postgres://u:7/hunter2?x@host/db":                                          "/ has to be written %2F",
		"postgres://u:hunter2@host/d@b":                                             "@ has to be written %40",
		"postgres://u:hunter2@host/db?sslmode=verify-full&sslrootcert=/hunter2.pem": "naming a file that can't be read",
		"host=h password=hunter2 sslmode=verify-full sslrootcert=/nowhere.pem":      "naming a file that can't be read",
		"postgres://u@x:hunter2@host/db":                                            "@ has to be written %40",
		"postgres://u:hunter2%@host/db":                                             "% in a user",
		"postgres://u:hunter2%zz@host/db":                                           "% in a user",
		"postgres://u:hunter2 x@host/db":                                            "a space has to be written %20",
		"mysql://u:hunter2@host/db?x=y":                                             "neither a URL nor key=value text",
		"Postgres://u:hunter2@host/db?x=y":                                          "neither a URL nor key=value text",
		"u:hunter2@host/db":                                                         "neither a URL nor key=value text",
		"u:hunter2@host/db?sslmode=disable":                                         "neither a URL nor key=value text",
		"psql postgres://u:hunter2@host/db?sslmode=disable":                         "neither a URL nor key=value text",
		"export X=postgres://u:hunter2@host/db":                                     "neither a URL nor key=value text",
		"hunter2":                                                                   "neither a URL nor key=value text",
		"":                                                                          "neither a URL nor key=value text",
		"host=h password=hunter2 x":                                                 "a value is malformed",
		"host=h postgres://u:hunter2@h/db?a=b":                                      "malformed",
		"host=h 'postgres://u:hunter2@h/db'=x":                                      "malformed",
		"postgres://u:hunter2@host/db?postgres://hunter2/y=z":                       "malformed",
		"postgres://u:hunter2@host:port/db":                                         "not a Postgres connection URL",
		"postgres://u:hunter2@host/db?sslmode=hunter2":                              "not a Postgres connection URL",
		"postgres://u:hunter2@host/db?connect_timeout=hunter2":                      "not a Postgres connection URL",
	} {
		for name, parse := range parsers {
			_, err := parse(text)
			require.Error(t, err, "%s of %q", name, text)
			require.Contains(t, err.Error(), fault, "%q", text)
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, err.Error(), "elsewhere.example")
		}
	}
}

// parsers parse a connection string and return the user, address and database in it.
var parsers = map[string]func(string) (string, error){
	"ParseService": func(text string) (string, error) {
		config, err := postgres.ParseService(text)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s@%s:%d/%s", config.User, config.Host, config.Port, config.Database), nil
	},
	"ParseOwner": func(text string) (string, error) {
		config, err := postgres.ParseOwner(text)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s@%s:%d/%s", config.User, config.Host, config.Port, config.Database), nil
	},
}

func TestConnectionStringsThatAreGood(t *testing.T) {
	t.Setenv("PGHOST", "elsewhere.example")
	t.Setenv("PGDATABASE", "other")
	for text, want := range map[string]string{
		"postgres://u:hunter2@host:6432/db":                      "u@host:6432/db",
		" \n postgres://u:hunter2@host:6432/db\r\n":              "u@host:6432/db",
		"postgresql://u:hunter2@host/db?sslmode=disable":         "u@host:5432/db",
		"postgres://u:p%40%2F%3A%25hunter2@host/db":              "u@host:5432/db",
		"postgres://u:hunter2@h1,h2:5433/db":                     "u@h1:5432/db",
		"postgres://u:p?x#hunter2:x@host/db":                     "u@host:5432/db",
		"postgres://u:hunter2@host/db?application_name=svc@prod": "u@host:5432/db",
		"host=@/tmp/pg user=u dbname=db":                         "u@@/tmp/pg:5432/db",
		"postgres://u:hunter2@[::1]:5432/db":                     "u@::1:5432/db",
		"postgres://u@/db?host=/var/run/postgresql":              "u@/var/run/postgresql:5432/db",
		"host=host user=u password='hunter 2' dbname=db":         "u@host:5432/db",
		"user=u": "u@elsewhere.example:5432/other",
		"postgres://u:hunter2@host/db?options=-c%20work_mem%3D1MB": "u@host:5432/db",
	} {
		for name, parse := range parsers {
			got, err := parse(text)
			require.NoError(t, err, "%s of %q", name, text)
			require.Equal(t, want, got, "%s of %q", name, text)
		}
	}
}

// The error of a failed connection tells the host, the port, the database and Postgres's code.
func TestConnectErrors(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	config, err := postgres.ParseService(db.AppURL())
	require.NoError(t, err)
	at := fmt.Sprintf("at %s:%d: ", config.Host, config.Port)
	sound := fmt.Sprintf("postgres://USER:hunter2@%s:%d/DATABASE?sslmode=disable", config.Host, config.Port)
	alter := func(user, database string) string {
		return strings.NewReplacer("DATABASE", database, "USER:hunter2", user).Replace(sound)
	}
	own, named := config.User+":"+config.Password, `the database "`+config.Database+`" `+at
	const there = "; check the host and the port in LUMEN_DATABASE_URL, and that the server runs"
	for text, want := range map[string]string{
		alter("hunter2user:hunter2", config.Database): `can't log in to ` + named + `(` +
			`the server refuses the user or the password \(28P01\); check both in LUMEN_DATABASE_URL|` +
			`the role does not exist, or .*pg_hba.conf does not admit it \(28000\); check the user and sslmode in LUMEN_DATABASE_URL, and pg_hba.conf)`,
		alter(own, "nowhere"): `can't open the database "nowhere" ` + at +
			`it does not exist \(3D000\); check its name in LUMEN_DATABASE_URL, or create it`,
		alter(own, config.Database) + "&hunter2=x": `can't open ` + named +
			`the server does not support a parameter of the connection string \(42704\); check the parameters in LUMEN_DATABASE_URL`,
		"postgres://u:hunter2@127.0.0.1:1/db?sslmode=disable": `can't reach the database "db" at 127.0.0.1:1: connection refused` + there,
		"postgres://u:hunter2@127.0.0.1:1,127.0.0.1:2/?sslmode=disable": `can't reach the database at 127.0.0.1:1, 127.0.0.1:2: connection refused` +
			there,
		"postgres://u:hunter2@nowhere.invalid/db": `can't reach the database "db" at nowhere.invalid:5432: the host is not found` +
			`; check the host in LUMEN_DATABASE_URL`,
		"postgres://u:hunter2@/db?host=/nowhere": `can't reach the database "db" at /nowhere:5432: no such file or directory` + there,
		strings.Replace(alter(own, config.Database), "disable", "require", 1): `can't connect to ` + named +
			`the server has no TLS, and the connection string requires it; turn TLS on in the server, or change sslmode in LUMEN_DATABASE_URL`,
	} {
		config, err := postgres.ParseService(text)
		require.NoError(t, err)
		pool := postgres.Open(config, nil, 1)
		err = pool.Exec(t.Context(), "SELECT")
		require.NoError(t, pool.Close())
		var connect *postgres.ConnectError
		require.ErrorAs(t, err, &connect, text)
		require.Regexp(t, "^"+want+"$", err.Error()+"; "+connect.Advice("LUMEN_DATABASE_URL"))
		require.NotContains(t, err.Error(), secret)
		require.False(t, connect.IsPooler())
	}
}
