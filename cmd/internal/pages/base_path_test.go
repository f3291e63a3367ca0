package pages_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/pages"
	"lumen/rest"
)

// Below a base path, all paths in the pages begin with it and lead to files and pages that exist.
func TestPagesBelowABasePath(t *testing.T) {
	t.Parallel()
	const base = "/shop/lumen"
	demo := []pages.Merchant{{Name: "Demo Shop", ID: "merchant_1", APIKey: "lumen_sk_demo_x"}}
	for _, options := range []pages.Options{
		{BasePath: base},
		{BasePath: base, Playground: true, Introspection: true},
		{BasePath: base, Playground: true, Demo: demo},
	} {
		h := pages.NewHandler(options, pages.NotFound(options, notFound))
		for _, path := range []string{"/", "/docs", "/playground", "/unknown"} {
			page, status := get(h, "GET", path, "Accept", "text/html"), http.StatusOK
			if path == "/unknown" {
				status = http.StatusNotFound
			}
			if path == "/playground" && !options.Playground {
				continue
			}
			require.Equal(t, status, page.Code, path)
			named := regexp.MustCompile(`(?:href|src|content|data-graphql)="(/[^"]*)"`).FindAllStringSubmatch(page.Body, -1)
			require.GreaterOrEqual(t, len(named), 4)
			for _, match := range named {
				at, ok := strings.CutPrefix(match[1], base)
				require.True(t, ok, "%s on %s", match[1], path)
				if at != "/graphql" {
					require.Equal(t, http.StatusOK, get(h, "GET", at).Code, match[1])
				}
			}
			for _, command := range regexp.MustCompile(`https?://[^'\s<]+`).FindAllString(page.Body, -1) {
				require.Regexp(t, `^http://lumen\.example:8080/shop/lumen/(api/customers\?limit=3|graphql)$`, command)
			}
			require.NotRegexp(t, `>/playground<`, page.Body)
		}
		document := get(h, "GET", "/openapi.yaml").Body
		require.Equal(t, string(rest.OpenAPI("")), strings.Replace(document, "\n  - url: "+base+"\n", "\n  - url: /\n", 1))
		require.NotEqual(t, string(rest.OpenAPI("")), document)
		var inJSON struct{ Servers []struct{ URL string } }
		require.NoError(t, json.Unmarshal([]byte(get(h, "GET", "/openapi.json").Body), &inJSON))
		require.Len(t, inJSON.Servers, 1)
		require.Equal(t, base, inJSON.Servers[0].URL)
	}
}
