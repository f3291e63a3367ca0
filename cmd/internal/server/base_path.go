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

// CheckBasePath returns why a server cannot have this base path in front of its own paths, or nil
// when it can.
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

// cutBasePath removes the base path from the paths of requests, so next does not know of it. A
// proxy may have removed it already, so a path without it stays as it is.
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

// belowBasePath returns the URL without the base path, and whether the URL began with it. The
// slashes of the base path must not be percent-encoded, because an encoded slash does not separate
// segments.
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
