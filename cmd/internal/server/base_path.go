package server

import (
	"errors"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
)

var basePathForm = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)

// CheckBasePath returns why a path can't stand before all of the server's own, nil when it can.
func CheckBasePath(base string) error {
	if !basePathForm.MatchString(base) || path.Clean(base) != base {
		return errors.New("must be / and segments of letters, digits and -._~ without a trailing slash, " +
			"such as /lumen or /shop/lumen")
	}
	own := append([]*route{newRoute(healthPath, ""), newRoute(readyPath, "")}, allRoutes()...)
	for _, r := range own {
		if r.matches(base) || strings.HasPrefix(r.pattern, base+"/") {
			return errors.New("must not begin one of Lumen's own paths, as it would with " + r.pattern +
				"; choose another, such as /lumen")
		}
	}
	return nil
}

// cutBasePath takes the base path off the paths of requests, so that next knows nothing of it. A
// proxy may have done so before: a path without it is left as it is.
func cutBasePath(base string, next http.Handler) http.Handler {
	if base == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := belowBasePath(base, r.URL); ok {
			cut := *r
			cut.URL = rest
			r = &cut
		}
		next.ServeHTTP(w, r)
	})
}

// belowBasePath returns the URL without the base path, and whether it began with it. The slashes of
// the base path are not encoded in such a URL: an encoded slash divides no segments.
func belowBasePath(base string, of *url.URL) (*url.URL, bool) {
	if !strings.HasPrefix(of.Path, base) {
		return nil, false
	}
	escaped, end := of.EscapedPath(), 0
	for range strings.Count(base, "/") {
		next := strings.IndexByte(escaped[end+1:], '/')
		if next < 0 {
			end = len(escaped)
			break
		}
		end += 1 + next
	}
	if first, err := url.PathUnescape(escaped[:end]); err != nil || first != base {
		return nil, false
	}
	rest := *of
	rest.Path, rest.RawPath = of.Path[len(base):], escaped[end:]
	if rest.Path == "" {
		rest.Path, rest.RawPath = "/", ""
	}
	return &rest, true
}
