package harness

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

	"lumen/cmd/internal/program"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// FreshEmail returns a random email address that no customer has.
func FreshEmail() string { return strings.ToLower(string(auth.NewSecret())[10:40]) + "@example.com" }

// URLs is the JSON that serve prints with --json: the addresses of the APIs, and those of the
// playground and the private listener if they are on.
type URLs struct {
	URL           string `json:"url"`
	RestURL       string `json:"restUrl"`
	GraphQLURL    string `json:"graphqlUrl"`
	PlaygroundURL string `json:"playgroundUrl"`
	PrivateURL    string `json:"privateUrl"` // metrics and health, for the operator
}

// Server is `lumen serve`, running in this process on a database of its own.
type Server struct {
	*storetest.Database
	URLs
	Log         *LockedBuffer
	TokenSecret auth.TokenSecret // decrypts the database's signing key
	Canaries    *Canaries
}

// Serve runs `lumen serve` through program.Run until the test ends. Then it fails the test if the
// log or the metrics contain an email address, a key, a token or a value that the test sent, or if
// a handler panicked.
func Serve(t *testing.T, args ...string) *Server {
	t.Helper()
	return ServeOn(t, storetest.New(t), args...)
}

// ServeOn is like Serve, on a database that the test has prepared.
func ServeOn(t *testing.T, database *storetest.Database, args ...string) *Server {
	t.Helper()
	d := &Server{Database: database, Log: new(LockedBuffer), TokenSecret: auth.NewTokenSecret()}
	_, err := d.Owner(t).TokenKeys.Rotate(t.Context(), d.TokenSecret, auth.EdDSA)
	require.NoError(t, err)
	d.URLs = d.Start(t, args...)
	watched := d.URLs // a test may replace d.URLs with those of another server
	d.Canaries = watch(t, d.URL, source{"log", d.Logged}, source{"metrics", func() string { return watched.Metrics(t) }})
	t.Cleanup(func() {
		log := d.Logged()
		require.True(t, len(d.Canaries.values) == 0 || strings.Contains(log, `"msg":"request"`), "the log has no line for the requests that were sent")
		for line := range strings.Lines(log) {
			require.NotContains(t, line, "@")
			require.NotContains(t, line, "lumen_sk_")
			require.NotContains(t, line, "eyJ") // the start of every token
			require.NotContains(t, line, d.TokenSecret.Text())
			require.NotContains(t, line, `"msg":"panic"`)
			if t.Failed() && strings.Contains(line, `"level":"ERROR"`) {
				t.Log(strings.TrimSpace(line))
			}
		}
	})
	return d
}

// Start starts another server on the same database.
func (d *Server) Start(t *testing.T, args ...string) URLs {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	out, in := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- program.Run(ctx, append([]string{"serve", "--addr", "127.0.0.1:0", "--json", "--private-addr", "127.0.0.1:0", "--shutdown-delay", "0s", "--database-url", d.AppURL(), "--token-secret", d.TokenSecret.Text()}, args...), in, d.Log, program.Release{})
		_ = in.Close()
	}()
	t.Cleanup(func() {
		Client.CloseIdleConnections()
		stop()
		select {
		case code := <-ended:
			require.Zero(t, code, d.Log)
		case <-time.After(30 * time.Second):
			t.Errorf("serve did not end within 30 s; its log:\n%s", d.Log)
		}
	})
	var urls URLs
	require.NoError(t, json.NewDecoder(out).Decode(&urls), d.Log)
	return urls
}

// Client returns replies unchanged: it follows no redirects and does not decompress.
var Client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
}

// Reply is a response with its whole body.
type Reply struct {
	Status int
	Header http.Header
	Body   string

	// The extensions of the GraphQL operation, if one was executed.
	Cost     int
	Sequence string
}

// extensions matches the extensions of an executed operation: its cost and, if it has changed
// something, the position of its last change.
var extensions = regexp.MustCompile(`,"extensions":\{"cost":\{"requested":(\d+),"limit":\d+\}(?:,"sequence":"([0-9a-f]{16}\.\d+)")?\}\}$`)

// Send sends a request with a JSON body and, unless it is empty, the key, after it applied the
// changes to the request. It moves the extensions of a GraphQL operation from the body to the Reply.
func (d *Server) Send(t testing.TB, key auth.Secret, method, path, body string, change ...func(*http.Request)) Reply {
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
	response, err := Client.Do(request)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	read, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	public := strings.Contains(response.Header.Get("Cache-Control"), "public")
	require.Equal(t, !public, response.Header.Get("X-Request-Id") != "", "a reply has an X-Request-Id unless shared caches may store it")
	r := Reply{Status: response.StatusCode, Header: response.Header, Body: string(read)}
	if path == "/graphql" && strings.Contains(r.Body, `"data":`) {
		match := extensions.FindStringSubmatch(r.Body)
		require.NotNil(t, match, r.Body)
		r.Body = strings.TrimSuffix(r.Body, match[0]) + "}"
		r.Sequence = match[2]
		r.Cost, err = strconv.Atoi(match[1])
		require.NoError(t, err)
	}
	return r
}

// GraphQL sends an operation. Variables may be nil, JSON text, or a value that is encoded as JSON.
func (d *Server) GraphQL(t testing.TB, key auth.Secret, query string, variables any, change ...func(*http.Request)) Reply {
	t.Helper()
	if text, ok := variables.(string); ok {
		variables = json.RawMessage(text)
	}
	return d.Send(t, key, "POST", "/graphql", JSON(t, map[string]any{"query": query, "variables": variables}), change...)
}

// Create creates a customer through REST and returns its id.
func (d *Server) Create(t testing.TB, m storetest.Merchant, input string) string {
	t.Helper()
	r := d.Send(t, m.WriteKey, "POST", "/api/customers", input)
	require.Equal(t, http.StatusCreated, r.Status, r.Body)
	return strings.TrimPrefix(r.Header.Get("Location"), "/api/customers/")
}

// SQL runs a statement as the superuser.
func (d *Server) SQL(t testing.TB, statement string, args ...any) {
	t.Helper()
	_, err := d.Superuser().Exec(t.Context(), statement, args...)
	require.NoError(t, err)
}

// Lines runs a query as the superuser and returns the values of its only column, which must be
// text.
func (d *Server) Lines(t testing.TB, query string, args ...any) []string {
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

// JSON returns the value as JSON, with no characters escaped for HTML.
func JSON(t testing.TB, value any) string {
	t.Helper()
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	require.NoError(t, encoder.Encode(value))
	return strings.TrimSuffix(b.String(), "\n")
}

// Mint creates an access token through REST, with a body such as `{"access":"write"}`.
func (d *Server) Mint(t testing.TB, key auth.Secret, body string) auth.Secret {
	t.Helper()
	r := d.Send(t, key, "POST", "/api/access-tokens", body)
	require.Equal(t, http.StatusCreated, r.Status, r.Body)
	var minted struct{ AccessToken struct{ Token string } }
	require.NoError(t, json.Unmarshal([]byte(r.Body), &minted))
	return auth.Secret(minted.AccessToken.Token)
}

// Metrics returns the metrics as Prometheus reads them.
func (u URLs) Metrics(t testing.TB) string {
	t.Helper()
	response, err := Client.Get(u.PrivateURL + "/metrics")
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(body)
}
