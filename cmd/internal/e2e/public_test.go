package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
)

// publicPaths returns the path of every reply that shared caches may store: the keys that verify
// tokens, the files of the pages, and the files that the server creates at its start, to which the
// pages link.
func publicPaths(t *testing.T, d *harness.Server) map[string]bool {
	t.Helper()
	paths := map[string]bool{"/.well-known/jwks.json": true}
	for path, folder := range map[string]string{
		"/docs/assets/": "../../../rest/docs/site/assets", "/playground/assets/": "../../../graph/playground/dist/assets",
	} {
		files, err := os.ReadDir(folder)
		require.NoError(t, err)
		for _, file := range files {
			name := strings.TrimSuffix(strings.TrimSuffix(file.Name(), ".br"), ".gz")
			paths[path+name] = true
		}
	}
	named := regexp.MustCompile(`"(/(?:docs/|playground/)?assets/[^"]+)"`)
	for _, page := range []string{"/", "/docs", "/playground"} {
		found := named.FindAllStringSubmatch(d.Send(t, "", "GET", page, "").Body, -1)
		require.NotEmpty(t, found, page)
		for _, match := range found {
			paths[match[1]] = true
		}
	}
	return paths
}

// TestPublicRepliesHoldNothingOfTheRequest checks that a public reply is the same whatever the
// client sends, and has no request id, since a shared cache hands it to other clients.
func TestPublicRepliesHoldNothingOfTheRequest(t *testing.T) {
	t.Parallel()
	const origin = "https://app.example.com"
	d := harness.Serve(t, "--playground", "--key-rate", "1000", "--cors-origins", origin)
	m := d.Merchant(t, "Shared")
	paths := publicPaths(t, d)
	require.Greater(t, len(paths), 30)
	for path := range paths {
		for _, accepted := range []string{"", "gzip", "br"} {
			accepts := header("Accept-Encoding", accepted)
			for _, method := range []string{"GET", "HEAD"} {
				plain := d.Send(t, "", method, path, "", accepts)
				require.Equal(t, 200, plain.Status, path)
				require.Contains(t, plain.Header.Get("Cache-Control"), "public", path)
				require.NotContains(t, plain.Header, "X-Request-Id", path)
				r := d.Send(t, m.WriteKey, method, path, "", accepts, header("X-Request-Id", "of-this-request"),
					header("Origin", origin), header("Cookie", "a=b"), header("X-Forwarded-Proto", "https"),
					header("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
				require.Equal(t, stable(plain.Header), stable(r.Header), "%s %s, %s", method, path, accepted)
			}
		}
		etag := d.Send(t, "", "GET", path, "").Header.Get("ETag")
		for name, value := range map[string]string{"If-None-Match": etag, "Range": "bytes=0-1"} {
			r := d.Send(t, "", "GET", path, "", header(name, value)) // some reply with 304 or 206
			require.Less(t, r.Status, 400, path)
			require.NotContains(t, r.Header, "X-Request-Id", path)
		}
	}
	require.Contains(t, d.Logged(), `"requestId":"of-this-request"`, "the log must still contain the id")
}

// TestOtherRepliesCarryTheRequestID checks that every reply that is not public has the request id,
// also on the paths of public replies.
func TestOtherRepliesCarryTheRequestID(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, "--playground")
	m := d.Merchant(t, "Own")
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 200}, {"GET", "/docs", 200}, {"GET", "/playground", 200},
		{"GET", "/openapi.yaml", 200}, {"GET", "/openapi.json", 200}, {"POST", "/openapi.json", 405},
		{"GET", "/schema.graphql", 200},
		{"POST", "/.well-known/jwks.json", 405}, {"GET", "/assets/none.css", 404}, {"GET", "/docs/assets/none.js", 404},
		{"GET", "/playground/assets/none.js", 404}, {"GET", "/unknown", 404}, {"GET", "/api/customers", 200},
		{"GET", "/api/customers/cust_absent", 404}, {"POST", "/api/access-tokens", 400}, {"GET", "/graphql", 405},
		{"POST", "/graphql", 400}, {"OPTIONS", "/api/customers", 405},
	} {
		for _, key := range []auth.Secret{m.WriteKey, ""} {
			r := d.Send(t, key, c.method, c.path, "", header("X-Request-Id", "of-this-request"))
			if key != "" {
				require.Equal(t, c.status, r.Status, c.path)
			}
			require.NotContains(t, r.Header.Get("Cache-Control"), "public", c.path)
			require.Equal(t, []string{"of-this-request"}, r.Header.Values("X-Request-Id"), c.path)
		}
	}
}
