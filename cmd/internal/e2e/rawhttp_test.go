package e2e

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// rawRequest is a request as bytes. PATH, KEY and LENGTH in its head stand for the path, the key
// and the length of the body.
type rawRequest struct {
	name string
	head string // the lines after the first, without the empty one
	line string // instead of the usual first line
	body string // "" for a valid body
	// statuses are the allowed statuses of the reply. If there are none, any status but 5xx is
	// allowed.
	statuses []int
	applied  bool // the request is valid, though unusual, and must take effect
	cut      bool // the client closes its side after these bytes
}

// rawRequests are malformed and unusual requests that servers often handle wrongly.
func rawRequests(t *testing.T) []rawRequest {
	t.Helper()
	const plain = "Host: x\r\nConnection: close\r\nAuthorization: Bearer KEY\r\nContent-Type: application/json\r\n"
	const sized = plain + "Content-Length: LENGTH\r\n"
	chunked := "%x\r\n%s\r\n0\r\n\r\n"
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	_, err := zip.Write(make([]byte, 10<<20))
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	long := strings.Repeat("x", 2<<20)
	bad, refused := []int{400}, []int{400, 401, 403, 404, 405, 413, 415, 431}
	return []rawRequest{
		{name: "a valid request", head: sized, applied: true},
		{name: "chunked", head: plain + "Transfer-Encoding: chunked\r\n", body: chunked, applied: true},
		{name: "chunked, with an extension and a trailer", head: plain + "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n", body: "%x;" + marker + "=1\r\n%s\r\n0\r\nX-T: " + marker + "\r\n\r\n", applied: true},
		{name: "chunked that ends early", head: plain + "Transfer-Encoding: chunked\r\n", body: "fffff\r\n%[2]s", statuses: bad, cut: true},
		{name: "a chunk with an invalid size", head: plain + "Transfer-Encoding: chunked\r\n", body: "zz\r\n%[2]s\r\n0\r\n\r\n", statuses: bad},
		{name: "a chunk of a negative size", head: plain + "Transfer-Encoding: chunked\r\n", body: "-1\r\n%[2]s\r\n0\r\n\r\n", statuses: bad},
		{name: "a chunk of a size that overflows", head: plain + "Transfer-Encoding: chunked\r\n", body: "fffffffffffffffff\r\n%[2]s\r\n0\r\n\r\n", statuses: bad},
		{name: "an encoding that is unknown", head: plain + "Transfer-Encoding: " + marker + "\r\n", statuses: []int{400, 501}},
		{name: "two encodings", head: plain + "Transfer-Encoding: gzip, chunked\r\n", body: chunked, statuses: []int{400, 501}},
		{name: "an encoding that ends in chunked", head: plain + "Transfer-Encoding: xchunked\r\n", statuses: []int{400, 501}},
		{name: "two lengths", head: sized + "Content-Length: 0\r\n", statuses: bad},
		{name: "a length that is negative", head: plain + "Content-Length: -1\r\n", statuses: bad},
		{name: "a length with a sign", head: plain + "Content-Length: +LENGTH\r\n", statuses: bad},
		{name: "a length that is not a number", head: plain + "Content-Length: " + marker + "\r\n", statuses: bad},
		{name: "a length that overflows", head: plain + "Content-Length: 99999999999999999999\r\n", statuses: bad},
		{name: "no length", head: plain, statuses: refused},
		{name: "a length of zero", head: plain + "Content-Length: 0\r\n", statuses: refused},
		{name: "a header with a NUL", head: sized + "X-H: a\x00b\r\n", statuses: bad},
		{name: "a header with a control character", head: sized + "X-H: a\x01b\r\n", statuses: bad},
		{name: "a header's name with a space", head: sized + "X-H : a\r\n", statuses: bad},
		{name: "a header without a name", head: sized + ": a\r\n", statuses: bad},
		{name: "a header without a colon", head: sized + marker + "\r\n", statuses: bad},
		{name: "a folded header", head: sized + "X-H: a\r\n b\r\n"},
		{name: "a folded credential", head: strings.Replace(sized, "Bearer KEY", "Bearer\r\n KEY", 1)},
		{name: "lines that end with LF alone", head: strings.ReplaceAll(sized, "\r\n", "\n"), applied: true},
		{name: "a CR inside a header", head: sized + "X-H: a\rb\r\n", statuses: bad},
		{name: "two hosts", head: sized + "Host: y\r\n", statuses: bad},
		{name: "no host", head: strings.Replace(sized, "Host: x\r\n", "", 1), statuses: bad},
		{name: "an invalid host", head: strings.Replace(sized, "Host: x", "Host: "+marker+"/\\", 1), statuses: bad},
		{name: "a header of 2 MB", head: sized + "X-H: " + long + "\r\n", statuses: []int{431}},
		{name: "a header's name of 2 MB", head: sized + long + ": x\r\n", statuses: []int{431}},
		{name: "10,000 headers", head: sized + strings.Repeat("X-H: x\r\n", 10_000), statuses: []int{431}},
		{name: "two credentials", head: sized + "Authorization: Bearer KEY\r\n", statuses: []int{401}},
		{name: "a credential in small letters", head: strings.Replace(sized, "Authorization: Bearer", "authorization: bearer", 1), applied: true},
		{name: "a credential with two spaces", head: strings.Replace(sized, "Bearer KEY", "Bearer  KEY", 1), applied: true},
		{name: "a credential with a tab", head: strings.Replace(sized, "Bearer KEY", "Bearer\tKEY", 1), statuses: []int{401}},
		{name: "a credential behind a proxy's header", head: strings.Replace(sized, "Authorization", "Proxy-Authorization", 1), statuses: []int{401}},
		{name: "a credential with a quote", head: strings.Replace(sized, "Bearer KEY", `Bearer "KEY"`, 1), statuses: []int{401}},
		{name: "a credential that is SQL", head: strings.Replace(sized, "Bearer KEY", "Bearer "+marker+"' OR '1'='1", 1), statuses: []int{401}},
		{name: "text/plain, as a form could send it", head: strings.Replace(sized, "application/json", "text/plain", 1), statuses: []int{415}},
		{name: "a form", head: strings.Replace(sized, "application/json", "application/x-www-form-urlencoded", 1), statuses: []int{415}},
		{name: "a multipart form", head: strings.Replace(sized, "application/json", "multipart/form-data; boundary="+marker, 1), statuses: []int{415}},
		{name: "no type", head: strings.Replace(sized, "Content-Type: application/json\r\n", "", 1), statuses: []int{415}},
		{name: "JSON in UTF-16", head: strings.Replace(sized, "application/json", "application/json; charset=utf-16", 1), statuses: []int{415}},
		{name: "an invalid type", head: strings.Replace(sized, "application/json", `"`+marker+`;;=`, 1), statuses: []int{415}},
		{name: "two types", head: sized + "Content-Type: application/json\r\n", statuses: []int{415}},
		{name: "a gzip bomb", head: sized + "Content-Encoding: gzip\r\n", body: bomb.String(), statuses: []int{415}},
		{name: "a gzip bomb without Content-Encoding", head: sized, body: bomb.String(), statuses: []int{400}},
		{name: "two content encodings", head: sized + "Content-Encoding: gzip, br\r\n", statuses: []int{415}},
		{name: "100,000 levels", head: sized, body: strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), statuses: []int{400, 413}},
		{name: "an expectation", head: sized + "Expect: " + marker + "\r\n", statuses: []int{417}},
		{name: "another method by a header", head: sized + "X-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE\r\n_method: DELETE\r\n", applied: true},
		{name: "another path by a header", head: sized + "X-Original-URL: /api/access-tokens\r\nX-Rewrite-URL: /api/access-tokens\r\n", applied: true},
		{name: "another host by a header", head: sized + "X-Forwarded-Host: " + marker + "\r\nForwarded: host=" + marker + "\r\n", applied: true},
		{name: "an upgrade", head: sized + "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", applied: true},
		{name: "an absolute path", line: "POST http://" + marker + ".example/PATH HTTP/1.1", head: sized},
		{name: "HTTP/0.9", line: "POST /PATH", head: sized, statuses: bad},
		{name: "HTTP/3.7", line: "POST /PATH HTTP/3.7", head: sized, statuses: []int{400, 505}},
		{name: "a method in small letters", line: "post /PATH HTTP/1.1", head: sized, statuses: []int{405}},
		{name: "an invalid method", line: "P@ST /PATH HTTP/1.1", head: sized, statuses: bad},
		{name: "PUT", line: "PUT /PATH HTTP/1.1", head: sized, statuses: []int{405}},
		{name: "TRACE", line: "TRACE /PATH HTTP/1.1", head: sized + "X-H: " + marker + "\r\n", statuses: []int{405}},
		{name: "CONNECT", line: "CONNECT /PATH HTTP/1.1", head: sized, statuses: []int{400, 404, 405}},
		{name: "two slashes", line: "POST //PATH HTTP/1.1", head: sized, statuses: []int{400, 404}},
		{name: "a dot", line: "POST /./PATH HTTP/1.1", head: sized, statuses: []int{404}},
		{name: "dots", line: "POST /x/../PATH HTTP/1.1", head: sized, statuses: []int{404}},
		{name: "encoded dots", line: "POST /%2e%2e/PATH HTTP/1.1", head: sized, statuses: []int{404}},
		{name: "a trailing slash", line: "POST /PATH/ HTTP/1.1", head: sized, statuses: []int{404}},
		{name: "a trailing encoded slash", line: "POST /PATH%2F HTTP/1.1", head: sized, statuses: []int{400, 404}},
		{name: "a trailing NUL", line: "POST /PATH%00 HTTP/1.1", head: sized, statuses: []int{400, 404}},
		{name: "a backslash", line: "POST \\PATH HTTP/1.1", head: sized, statuses: []int{400, 404}},
		{name: "invalid UTF-8", line: "POST /PATH\xff HTTP/1.1", head: sized, statuses: []int{400, 404}},
		{name: "an incomplete escape", line: "POST /PATH%4 HTTP/1.1", head: sized, statuses: bad},
		{name: "a space in the path", line: "POST /PATH " + marker + " HTTP/1.1", head: sized, statuses: bad},
		{name: "a path of 10 KB", line: "POST /PATH" + long[:10<<10] + " HTTP/1.1", head: sized, statuses: []int{400, 404}},
		{name: "a path of 2 MB", line: "POST /PATH" + long + " HTTP/1.1", head: sized, statuses: []int{431}},
		{name: "a fragment", line: "POST /PATH#" + marker + " HTTP/1.1", head: sized},
		{name: "a query of SQL", line: "POST /PATH?id=1%27%20OR%201=1--" + marker + " HTTP/1.1", head: sized, applied: true},
	}
}

// raw sends bytes and returns the statuses and the bytes of all replies on the connection.
func raw(t *testing.T, d *harness.Server, request string, cut bool) (statuses []int, all string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.URL, "http://"))
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(4*atOnce)))
	go func() { // the server does not read a request to its end that it refuses early
		_, _ = io.WriteString(conn, request)
		if cut {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	// The server may reset the connection if bytes of a refused request are unread, but only after
	// its reply.
	bytes, err := io.ReadAll(conn)
	require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "the server did not end the connection after %.200q", request)
	reader := bufio.NewReader(strings.NewReader(string(bytes)))
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return statuses, string(bytes)
		}
		statuses = append(statuses, response.StatusCode)
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}

// TestRawRequests sends requests that are malformed as HTTP to both APIs. Each must be answered
// within atOnce, without an internal error and without an echo, and must change nothing unless it
// is valid.
func TestRawRequests(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Raw")
	target := d.Create(t, m, `{"email":"target@x.io"}`)
	sent := map[string]int{}
	for n, c := range rawRequests(t) {
		for _, how := range apiOperations {
			name := fmt.Sprintf("Raw %d %s", n, how)
			input := fmt.Sprintf(`{"email":"raw%d.%d@x.io","name":%q}`, n, sent["REST create"]+sent["GraphQL create"], name)
			if strings.HasSuffix(how, "update") {
				input = fmt.Sprintf(`{"name":%q}`, name)
			}
			path, body := "api/customers", input
			switch how {
			case "REST update":
				path += "/" + target
			case "GraphQL create":
				path, body = "graphql", `{"query":`+harness.JSON(t, operations["create"])+`,"variables":{"input":`+input+`}}`
			case "GraphQL update":
				path, body = "graphql", `{"query":`+harness.JSON(t, operations["update"])+`,"variables":{"id":"`+target+`","input":`+input+`}}`
			}
			switch {
			case strings.Contains(c.body, "%"):
				body = fmt.Sprintf(c.body, len(body), body)
				if i := strings.Index(body, "%!(EXTRA"); i >= 0 {
					body = body[:i]
				}
			case c.body != "":
				body = c.body
			}
			line := c.line
			if line == "" {
				line = "POST /PATH HTTP/1.1"
			}
			end := "\r\n"
			if !strings.Contains(c.head, "\r\n") {
				end = "\n"
			}
			request := strings.NewReplacer("PATH", path, "KEY", string(m.WriteKey), "LENGTH", fmt.Sprint(len(body))).Replace(line+end+c.head+end) + body
			before := storedRows(t, d, m)
			start := time.Now()
			statuses, all := raw(t, d, request, c.cut)
			sent[how]++
			require.Less(t, time.Since(start), atOnce, "%s, %s", c.name, how)
			require.NotContains(t, all, marker, "%s, %s", c.name, how)
			if c.applied {
				require.Len(t, statuses, 1, "%s, %s: %.300s", c.name, how, all)
				require.Less(t, statuses[0], 300, "%s, %s: %.300s", c.name, how, all)
				require.Contains(t, strings.Join(storedRows(t, d, m), "\n"), "name="+name)
				continue
			}
			// A request with bytes behind it may get two replies, since the server takes those
			// bytes for a second, invalid request.
			require.NotEmpty(t, statuses, "%s, %s: %q", c.name, how, all)
			if c.statuses != nil {
				if how[0] == 'G' && statuses[0] == 200 && strings.Contains(all, `"errors"`) { // GraphQL refuses documents with status 200
					statuses[0] = 400
				}
				if statuses[0] == 404 && how[0] == 'G' || statuses[0] == 405 {
					require.Subset(t, append(c.statuses, 404), statuses[:1], "%s, %s: %.300s", c.name, how, all)
				} else {
					require.Contains(t, c.statuses, statuses[0], "%s, %s: %.300s", c.name, how, all)
				}
				require.Equal(t, before, storedRows(t, d, m), "%s, %s", c.name, how)
			}
			for _, status := range statuses {
				require.True(t, status < 500 || status == 501 || status == 505, "%s, %s: %d", c.name, how, status)
			}
		}
	}
	t.Logf("%v", sent)
}

// TestSlowBodiesAreServed sends a body after 7.5 s. The request must be served: the time that the
// client takes to send its body must not count towards the deadline of the statement.
func TestSlowBodiesAreServed(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Slow")
	for path, body := range map[string]string{"/api/customers": `{"email":"slow@x.io"}`, "/graphql": `{"query":"{customers{totalCount}}"}`} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(d.URL, "http://"))
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				path, string(m.WriteKey), len(body), body[:1])
			require.NoError(t, err)
			time.Sleep(7500 * time.Millisecond)
			_, err = io.WriteString(conn, body[1:])
			require.NoError(t, err)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			require.Less(t, response.StatusCode, 300)
		})
	}
}
