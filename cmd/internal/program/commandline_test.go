package program

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/storetest"
)

var update = flag.Bool("update", false, "write testdata/commandline.txt")

// commandLine is a run of the program: variables, arguments and standard input as a user gives
// them.
type commandLine struct {
	variables []string
	args      string
	in        string
}

// varying replaces what differs between two runs of the test.
type varying []string

func (v varying) replace(text string) string {
	text = strings.NewReplacer(v...).Replace(text)
	return regexp.MustCompile(`\b(merchant|key|token_key)_[0-9a-z]{26}\b`).ReplaceAllString(text, "${1}_...")
}

// show runs a command line and returns it with all that it printed and its exit code.
func (c commandLine) show(t *testing.T, v varying) string {
	t.Helper()
	for _, variable := range c.variables {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
		defer func() { require.NoError(t, os.Unsetenv(name)) }()
	}
	var out, err bytes.Buffer
	args := strings.Fields(c.args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "␣", " ")
	}
	code := run(t.Context(), args, terminal{
		in: strings.NewReader(c.in), out: &out, err: &err, invocation: "lumen",
	}, Release{Version: "v1.2.3", Commit: "c0ffee"})
	line := strings.Join(append(slices.Clone(c.variables), strings.TrimSpace("lumen "+c.args)), " ")
	if c.in != "" {
		line = fmt.Sprintf("printf %%s '%s' | %s", c.in, line)
	}
	for _, secret := range append(strings.Fields(c.in), "hunter2") {
		require.NotContains(t, out.String()+err.String(), secret, line)
	}
	if code == 0 {
		return v.replace(fmt.Sprintf("$ %s\n%s%s\n", line, err.String(), out.String()))
	}
	require.Empty(t, out.String(), "%s: a failure has no result", line)
	return v.replace(fmt.Sprintf("$ %s\n%sexit %d\n\n", line, err.String(), code))
}

// helps returns the command lines that print the help of each command.
func helps(t *testing.T) (lines []commandLine) {
	t.Helper()
	var p program
	parser, err := kong.New(&p, defaultLimits(), kong.Vars{"version": ""}, kong.PostBuild(describe))
	require.NoError(t, err)
	require.NoError(t, kong.Visit(parser.Model, func(visited kong.Visitable, next kong.Next) error {
		if node, ok := visited.(*kong.Node); ok {
			lines = append(lines, commandLine{args: strings.TrimSpace(strings.TrimSuffix(node.Path(), " <>") + " --help")})
		} else if app, ok := visited.(*kong.Application); ok {
			lines = append(lines, commandLine{args: strings.TrimSpace(app.Node.Path() + " --help")})
		}
		return next(nil)
	}))
	for i := range lines {
		lines[i].args = regexp.MustCompile(` ?\[?<[^>]*>\]?`).ReplaceAllString(lines[i].args, "")
	}
	return lines
}

// refusing starts a server that refuses every login with a code and a message. It has no TLS.
func refusing(t *testing.T, code, message string) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			backend := pgproto3.NewBackend(conn, conn)
			switch startup, err := backend.ReceiveStartupMessage(); startup.(type) {
			case *pgproto3.SSLRequest:
				_, _ = conn.Write([]byte("N"))
			default:
				if err == nil {
					backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: message + " hunter2"})
					_ = backend.Flush()
				}
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

// The help of every command and the errors that a user can meet, exactly as they are printed.
func TestCommandLine(t *testing.T) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "LUMEN_") || name == "COLUMNS" {
			t.Setenv(name, "") // which restores it
			require.NoError(t, os.Unsetenv(name))
		}
	}
	db := storetest.New(t)
	owned := "--owner-database-url=" + db.OwnerURL()
	acme := db.Merchant(t, "Acme")
	token := "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJsdW1lbiJ9.c2lnbmF0dXJl"
	leaked := auth.NewSecret()
	operator, err := owner.Open(db.OwnerURL())
	require.NoError(t, err)
	defer func() { _ = operator.Close() }()
	_, err = operator.Keys.Create(t.Context(), owner.NewKey{MerchantID: acme.ID, Access: "write", Secret: leaked})
	require.NoError(t, err)
	unknown := auth.NewSecret()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = busy.Close() }()
	port := busy.Addr().String()
	empty := storetest.Empty(t).OwnerURL()
	v := varying{
		owned, "--owner-database-url=...", db.OwnerURL(), "...", db.AppURL(), "...", string(leaked), "lumen_sk_LEAKED", string(unknown), "lumen_sk_UNKNOWN",
		empty, "...", port, "127.0.0.1:8080",
	}
	at := func(address string) string { return "postgres://u:hunter2@" + address + "/lumen?sslmode=disable" }
	lines := append(helps(t), []commandLine{
		// What is no command line.
		{args: ""}, {args: "frob"}, {args: "--frob"}, {args: "merchant"}, {args: "merchant frob"}, {args: "migrate"},
		{args: "key"}, {args: "token-key"}, {args: "serve extra"}, {args: "serve --frob"}, {args: "serve --playgroud"},
		{args: "dev --databse-url=postgres://u:hunter2@h/db"}, {args: "key create"}, {args: "key create --merchant"},
		{args: "key create --merchant=merchant_1 --access=all"}, {args: "key create --merchant=merchant_1 --expires=5"},
		{args: "key create --merchant=merchant_1 --expires=101y"}, {args: "key list"}, {args: "merchant create"},
		{args: "merchant create --name"}, {args: "merchant disable"}, {args: "token-key revoke"}, {args: "token-key rotate --algorithm=HS256"},
		{args: "completion"}, {args: "completion sh"}, {args: "key revoke"}, {args: "key revoke key_1 --secret-stdin"},
		{args: "key revoke " + string(unknown)},

		// Values that no flag takes.
		{args: "serve --introspection=perhaps"}, {variables: []string{"LUMEN_INTROSPECTION=perhaps"}, args: "serve"},
		{args: "serve --idle-timeout=620"}, {variables: []string{"LUMEN_IDLE_TIMEOUT=620"}, args: "serve"},
		{args: "serve --graphql-max-depth=0"}, {variables: []string{"LUMEN_GRAPHQL_MAX_DEPTH=many"}, args: "serve"},
		{args: "serve --graphql-field-costs=Query.customers=x"}, {args: "serve --graphql-field-costs=Query.customers"},
		{args: "serve"}, {args: "serve --database-url=mysql://u:hunter2@h/db"},
		{variables: []string{"LUMEN_DATABASE_URL=postgres://u:hunter2@h@h/db"}, args: "serve"},
		{args: "serve --database-url=postgres://h/db --addr=here --private-addr=there --log-format=xml --base-path=/lumen/ --idle-timeout=0s " +
			"--shutdown-delay=-1s --start-timeout=-1s --database-pooler=session --cors-origins=* --key-rate=-1 --merchant-rate=fast --customer-rate=NaN --rate-burst=-1 " +
			"--token-secret=hunter2 --trusted-documents-mode=only --graphql-field-costs=Customer.mail=2"},
		{variables: []string{"LUMEN_LOG_FORMAT=xml", "LUMEN_TRUSTED_DOCUMENTS=/nowhere.json", "LUMEN_TRUSTED_DOCUMENTS_MODE=never"}, args: "serve"},
		{variables: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=collector"}, args: "serve --database-url=postgres://h/db"},
		{args: "dev --base-path=lumen --cors-origins=*"}, {args: "dev --addr=here"}, {args: "migrate up --start-timeout=-1s"},

		// Ports in use.
		{args: "dev --addr=" + port}, {args: "serve --addr=" + port + " --database-url=" + db.AppURL()},
		{args: "serve --addr=127.0.0.1:0 --private-addr=" + port + " --database-url=" + db.AppURL()},

		// Databases that let nobody in.
		{args: "merchant list"}, {args: "migrate status --database-url=" + at("127.0.0.1:1")},
		{variables: []string{"LUMEN_DATABASE_URL=" + at("127.0.0.1:1")}, args: "serve --start-timeout=0s"},
		{variables: []string{"LUMEN_DATABASE_URL=" + at("127.0.0.1:1"), "LUMEN_OWNER_DATABASE_URL=" + at("127.0.0.1:2")}, args: "merchant list"},
		{args: "merchant list --database-url=postgres://u:hunter2@nowhere.invalid/lumen"},
	}...)
	for _, code := range []string{"28P01", "28000", "3D000", "42501", "42704", "53300", "57P03", "08P01"} {
		address := refusing(t, code, "")
		v = append(v, address, "127.0.0.1:5432")
		lines = append(lines, commandLine{args: "merchant list --owner-database-url=" + at(address)})
	}
	address, pooler := refusing(t, "", ""), refusing(t, "08P01", "unsupported startup parameter:")
	v = append(v, address, "127.0.0.1:5432", pooler, "127.0.0.1:6432")
	lines = append(lines, []commandLine{
		{args: "merchant list --owner-database-url=postgres://u:hunter2@" + address + "/lumen?sslmode=require"},
		{args: "merchant list --owner-database-url=" + at(pooler)},
		{args: "merchant list --owner-database-url=" + empty},

		// What operators get wrong, and what they are told.
		{args: "merchant create --name=␣ " + owned}, {args: "merchant create --name=Acme --json " + owned},
		{args: "merchant disable merchant_none " + owned}, {args: "key create --merchant=merchant_none " + owned},
		{args: "key list --merchant=merchant_none " + owned}, {args: "key revoke key_none " + owned},
		{args: "key revoke --secret-stdin " + owned, in: string(unknown)},
		{args: "key revoke --secret-stdin " + owned, in: " \n"},
		{args: "key revoke --secret-stdin " + owned, in: token},
		{args: "key revoke --secret-stdin " + owned, in: "hunter2"},
		{args: "key revoke --secret-stdin " + owned, in: "key_none"},
		{args: "key revoke --secret-stdin " + owned, in: string(leaked) + "\n" + string(unknown)},
		{args: "key revoke --secret-stdin " + owned, in: string(leaked) + "\n"},
		{args: "token-key rotate " + owned}, {args: "token-key rotate --token-secret=hunter2 " + owned},
		{args: "token-key revoke token_key_none " + owned}, {args: "migrate down " + owned},

		// Variables that nothing reads.
		{variables: []string{
			"LUMEN_DATABSE_URL=hunter2", "LUMEN_DB=hunter2", "LUMEN_CORS_ORIGIN=*", "LUMEN_KEY=hunter2", "LUMEN_TEST_LONG=1",
			"LUMEN_SERVICE_HOST=10.0.0.1", "LUMEN_PORT_8080_TCP_ADDR=10.0.0.1", "LUMEN_PRIVATE_PORT=tcp://10.0.0.1:9464", "LUMEN_EMPTY=",
		}, args: "version"},
		{variables: []string{"LUMEN_DATABSE_URL=hunter2"}, args: "serve"},
	}...)

	var got strings.Builder
	for _, line := range lines {
		got.WriteString(line.show(t, v))
	}
	text := regexp.MustCompile(`"(createdAt|secret)":"[^"]*"`).ReplaceAllString(got.String(), `"$1":"..."`)
	text = regexp.MustCompile(`(?m), go\S+ \S+$`).ReplaceAllString(text, ", ...")
	text = regexp.MustCompile(`\b0001(, \d{4})+`).ReplaceAllString(text, "0001, ...")
	const file = "testdata/commandline.txt"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text, "after a change that is meant: go test ./cmd/internal/program -run 'TestCommandLine$' -update")
}
