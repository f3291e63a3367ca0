package program

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/storetest"
)

// doors is `lumen serve`, running in this process on a database of its own.
type doors struct {
	*storetest.Database
	serverURLs
	log      *lockedBuffer
	secret   store.TokenSecret // of the signing key that there is
	canaries *canaries
}

// openDoors runs serve through the program's own entry until the test ends. Whatever the test does, the log must hold no
// email address, no key, no token and nothing that was sent in a field, nor may the metrics, and nothing may have panicked.
func openDoors(t *testing.T, args ...string) *doors {
	t.Helper()
	return openDoorsOn(t, storetest.New(t), args...)
}

// openDoorsOn is openDoors on a database that the test has prepared.
func openDoorsOn(t *testing.T, database *storetest.Database, args ...string) *doors {
	t.Helper()
	d := &doors{Database: database, log: new(lockedBuffer), secret: store.NewTokenSecret()}
	_, err := d.Owner(t).TokenKeys.Rotate(t.Context(), d.secret)
	require.NoError(t, err)
	d.serverURLs = d.serve(t, args...)
	watched := d.serverURLs // a test may start another
	d.canaries = watch(t, d.URL, source{"log", d.logged}, source{"metrics", func() string { return watched.metrics(t) }})
	t.Cleanup(func() {
		log := d.logged()
		require.True(t, len(d.canaries.known) == 0 || strings.Contains(log, `"msg":"request"`), "a log of what was sent")
		for line := range strings.Lines(log) {
			require.NotContains(t, line, "@")
			require.NotContains(t, line, "lumen_sk_")
			require.NotContains(t, line, "eyJ") // as every token begins
			require.NotContains(t, line, d.secret.Text())
			require.NotContains(t, line, `"msg":"panic"`)
			if t.Failed() && strings.Contains(line, `"level":"ERROR"`) {
				t.Log(strings.TrimSpace(line))
			}
		}
	})
	return d
}

// serve starts the program on the database once more.
func (d *doors) serve(t *testing.T, args ...string) serverURLs {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, append([]string{"serve", "--addr", "127.0.0.1:0", "--json", "--private-addr", "127.0.0.1:0", "--shutdown-delay", "0s", "--database-url", d.AppURL(), "--token-secret", d.secret.Text()}, args...), in, d.log, Release{})
		_ = in.Close()
	}()
	t.Cleanup(func() {
		client.CloseIdleConnections()
		stop()
		select {
		case code := <-ended:
			require.Zero(t, code, d.log)
		case <-time.After(30 * time.Second):
			t.Errorf("serve did not end; its log:\n%s", d.log)
		}
	})
	var urls serverURLs
	require.NoError(t, json.NewDecoder(out).Decode(&urls), d.log)
	return urls
}

// client takes replies as they come: no redirects, no decompression.
var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
}

// reply is a response, read whole.
type reply struct {
	status int
	header http.Header
	body   string
	cost   int // of the operation, where one was executed
}

func (r reply) brief() answer { return answer{r.status, r.body} }

// answer is a reply without its headers.
type answer struct {
	status int
	body   string
}

// costExtension is what every operation that was executed tells of its cost.
var costExtension = regexp.MustCompile(`,"extensions":\{"cost":\{"requested":(\d+),"limit":\d+\}\}\}$`)

// send sends a request with a JSON body and the key, if any, as changed by change. The reply has the operation's cost taken
// out of its body.
func (d *doors) send(t testing.TB, key store.Secret, method, path, body string, change ...func(*http.Request)) reply {
	t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, d.URL+path, content)
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+string(key))
	}
	for _, c := range change {
		c(request)
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	public := strings.Contains(response.Header.Get("Cache-Control"), "public")
	require.Equal(t, !public, response.Header.Get("X-Request-Id") != "", "a reply that shared caches may keep has no id")
	r := reply{status: response.StatusCode, header: response.Header, body: string(read)}
	if path == "/graphql" && strings.Contains(r.body, `"data":`) {
		match := costExtension.FindStringSubmatch(r.body)
		require.NotNil(t, match, r.body)
		r.body = strings.TrimSuffix(r.body, match[0]) + "}"
		r.cost, err = strconv.Atoi(match[1])
		require.NoError(t, err)
	}
	return r
}

// graphql sends an operation; variables may be nil, JSON text, or anything that becomes it.
func (d *doors) graphql(t testing.TB, key store.Secret, query string, variables any, change ...func(*http.Request)) reply {
	t.Helper()
	if text, ok := variables.(string); ok {
		variables = json.RawMessage(text)
	}
	return d.send(t, key, "POST", "/graphql", jsonText(t, map[string]any{"query": query, "variables": variables}), change...)
}

// header returns a change of a request that sets a header, or takes it away when there is no value.
func header(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		for _, v := range values {
			r.Header.Add(name, v)
		}
	}
}

// create adds a customer through REST and returns its id.
func (d *doors) create(t testing.TB, m storetest.Merchant, input string) string {
	t.Helper()
	r := d.send(t, m.WriteKey, "POST", "/api/customers", input)
	require.Equal(t, http.StatusCreated, r.status, r.body)
	return strings.TrimPrefix(r.header.Get("Location"), "/api/customers/")
}

// sql runs a statement as the superuser.
func (d *doors) sql(t testing.TB, statement string, args ...any) {
	t.Helper()
	_, err := d.Superuser().Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

// lines returns the one text column that a superuser's query yields.
func (d *doors) lines(t testing.TB, query string, args ...any) []string {
	t.Helper()
	rows, err := d.Superuser().Query(t.Context(), query, args...)
	require.NoError(t, err)
	defer rows.Close()
	all := []string{}
	for rows.Next() {
		var line string
		require.NoError(t, rows.Scan(&line))
		all = append(all, line)
	}
	require.NoError(t, rows.Err())
	return all
}

// everything is all that the customers of a merchant, or of all merchants, are.
func (d *doors) everything(t testing.TB) []string {
	t.Helper()
	return d.lines(t, "SELECT to_jsonb(c)::text FROM customers AS c ORDER BY merchant_id, id")
}

// stops holds the server to what it says of a credential that was ended just now: half a second later at the latest it is
// refused, and works until then.
func stops(t testing.TB, status func() int) {
	t.Helper()
	for ended := time.Now(); ; {
		began := time.Now()
		got := status()
		if got == http.StatusUnauthorized {
			return
		}
		require.Equal(t, http.StatusOK, got)
		require.Less(t, began.Sub(ended), 500*time.Millisecond)
	}
}

// countStatements makes Postgres count the statements that the service runs on customers: the policy's uncorrelated
// sub-select is evaluated once in each of them, as soon as it looks at a row. The function that it returns tells how many
// there were since it was last called.
func (d *doors) countStatements(t testing.TB) func() int64 {
	t.Helper()
	d.sql(t, "CREATE SEQUENCE statements")
	d.sql(t, "GRANT USAGE ON SEQUENCE statements TO lumen_app")
	d.sql(t, "CREATE POLICY counted ON customers AS RESTRICTIVE TO lumen_app USING ((SELECT nextval('statements')) > 0)")
	var last int64
	return func() int64 {
		var now int64
		require.NoError(t, d.Superuser().QueryRow(t.Context(), "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM statements").Scan(&now))
		n := now - last
		last = now
		return n
	}
}

func jsonText(t testing.TB, value any) string {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(value))
	return strings.TrimSuffix(b.String(), "\n")
}

func compact(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, json.Compact(&b, []byte(text)), text)
	return b.String()
}

var (
	anyID        = regexp.MustCompile(`"cust_[a-z0-9_]+"`)
	anyTime      = regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"`)
	anyRequestID = regexp.MustCompile(`"requestId":"[A-Z2-7]{26}"`)
)

// timeless returns the text with every customer's id, time and request id replaced.
func timeless(text string) string {
	text = anyTime.ReplaceAllString(anyID.ReplaceAllString(text, `"ID"`), `"TIME"`)
	return anyRequestID.ReplaceAllString(text, `"requestId":"REQUEST"`)
}
