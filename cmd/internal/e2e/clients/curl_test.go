//go:build clients

package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// curl runs curl with a request and returns its output. The last line is the version of HTTP and
// the status.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	args = append([]string{"-sS", "-H", "Content-Type: application/json", "-w", "\n%{http_version} %{http_code}"}, args...)
	out, err := exec.CommandContext(t.Context(), "curl", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

// The server answers curl in HTTP/2 when curl has prior knowledge of it, and in HTTP/1.1 when curl
// only offers to upgrade. Each request has a connection of its own, because curl 7.88 (Debian's)
// fails on the second HTTP/2 request of a connection, whatever the server is.
func TestCurl(t *testing.T) {
	d := harness.Serve(t, "--base-path", "/lumen")
	m := d.Merchant(t, "Curl")
	for option, version := range map[string]string{"--http2-prior-knowledge": "2", "--http2": "1.1"} {
		credential := "Authorization: Bearer " + string(m.WriteKey)
		body := filepath.Join(t.TempDir(), "body")
		email := harness.FreshEmail()
		require.NoError(t, os.WriteFile(body, []byte(`{"email":"`+email+`"}`), 0o600))
		for _, request := range []struct {
			args         []string
			status, says string
		}{
			{[]string{"-d", `{"email":"` + email + `"}`, d.RestURL}, "201", `{"customer":{"id":"cust_`},
			{[]string{"-T", body, "-X", "POST", d.RestURL}, "409", "already exists"},
			{[]string{"-T", "-", "-X", "POST", d.RestURL}, "400", "not valid JSON"}, // a body without Content-Length
			{[]string{"-d", `{"query":"{customers{totalCount}}"}`, d.GraphQLURL}, "200", `{"totalCount":`},
			{[]string{"-I", d.RestURL}, "200", "content-type: application/json"},
			{[]string{d.RestURL + "?email=" + email}, "200", email},
			{[]string{d.RestURL}, "200", email},
			{[]string{d.URL + "/healthz"}, "200", "ok"},
		} {
			out := curl(t, append(request.args, option, "-H", credential)...)
			ends := "\n" + version + " " + request.status
			require.True(t, strings.HasSuffix(out, ends), "%s %v: %s", option, request.args, out)
			require.Contains(t, strings.ToLower(out), strings.ToLower(request.says), "%s %v", option, request.args)
		}
	}
}

// curl reports an error for a list that fails half-way, in either version of HTTP. It never takes
// the part that came for the whole list.
func TestCurlSeesAnAbortedList(t *testing.T) {
	d := harness.Serve(t)
	m := d.Merchant(t, "Curl")
	ids := d.Fill(t, m, 3000)
	d.SQL(t, `CREATE FUNCTION sound(id text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
		IF id = '`+ids[1500]+`' THEN RAISE EXCEPTION 'injected fault'; END IF; RETURN true; END $$`)
	d.SQL(t, `CREATE POLICY poison ON customers AS RESTRICTIVE FOR SELECT TO lumen_app USING (sound(id))`)
	credential := "Authorization: Bearer " + string(m.ReadKey)
	// HTTP2_STREAM and PARTIAL_FILE
	for option, code := range map[string]int{"--http2-prior-knowledge": 92, "--http1.1": 18} {
		out, err := exec.CommandContext(t.Context(), "curl", "-sS", option, "-H", credential, d.RestURL).Output()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, option)
		require.Equal(t, code, exit.ExitCode(), "%s: %s", option, exit.Stderr)
		require.True(t, strings.HasPrefix(string(out), `{"customers":[{`))
		require.False(t, strings.HasSuffix(string(out), "]}"))
	}
}
