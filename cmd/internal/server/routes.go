package server

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"lumen/cmd/internal/pages"
	"lumen/rest"
)

// The APIs, by their values of the label "door" of the metrics.
const (
	apiREST    = "rest"
	apiGraphQL = "graphql"
	apiOther   = "other" // pages, public keys, unknown paths
)

const (
	graphQLPath = "/graphql"
	// jwksPath is the path of the public keys that verify access tokens.
	jwksPath = "/.well-known/jwks.json"
)

// route is the name of a set of paths in the log, the metrics and the traces. It never holds an id.
type route struct {
	// pattern is a path. A wildcard in it stands for one segment; at the end it stands for all
	// paths below, including those that are answered with 404.
	pattern string
	// literals are the parts of the pattern between its wildcards; the last one is "" when the
	// pattern ends in a wildcard.
	literals []string
	api      string
}

var wildcard = regexp.MustCompile(`\{\w+\}`)

func newRoute(pattern, api string) *route {
	return &route{pattern, wildcard.Split(pattern, -1), api}
}

// path returns the pattern up to its first wildcard.
func (r *route) path() string { return r.literals[0] }

func (r *route) hasWildcard() bool { return len(r.literals) > 1 }

// matches reports whether a path belongs to the route.
func (r *route) matches(path string) bool {
	for i, literal := range r.literals {
		if i > 0 && i == len(r.literals)-1 && literal == "" {
			return true
		}
		if i > 0 {
			segment, _, _ := strings.Cut(path, "/")
			path = path[len(segment):]
		}
		if !strings.HasPrefix(path, literal) {
			return false
		}
		path = path[len(literal):]
	}
	return path == ""
}

// routeTable finds the route of a path.
type routeTable struct {
	exact     map[string]*route
	wildcards []*route // the most segments first, then the longest
}

// noRoute is the route of all paths that belong to no other.
var noRoute = newRoute("other", apiOther)

func newRouteTable(routes []*route) *routeTable {
	table := &routeTable{exact: make(map[string]*route)}
	for _, r := range routes {
		if r.hasWildcard() {
			table.wildcards = append(table.wildcards, r)
		} else {
			table.exact[r.pattern] = r
		}
	}
	segments := func(r *route) int { return strings.Count(r.pattern, "/") }
	slices.SortFunc(table.wildcards, func(a, b *route) int {
		return cmp.Or(cmp.Compare(segments(b), segments(a)),
			cmp.Compare(len(b.path()), len(a.path())), cmp.Compare(a.pattern, b.pattern))
	})
	table.wildcards = slices.CompactFunc(table.wildcards, func(a, b *route) bool { return a.pattern == b.pattern })
	return table
}

func (t *routeTable) of(path string) *route {
	if r, ok := t.exact[path]; ok {
		return r
	}
	for _, r := range t.wildcards {
		if r.matches(path) {
			return r
		}
	}
	return noRoute
}

// routes are all routes of a server.
var routes = newRouteTable(allRoutes())

func allRoutes() []*route {
	all := []*route{newRoute(graphQLPath, apiGraphQL), newRoute(jwksPath, apiOther)}
	for _, r := range rest.Routes() {
		all = append(all, newRoute(r.Pattern, apiREST))
	}
	for _, pattern := range pages.Paths {
		all = append(all, newRoute(pattern, apiOther))
	}
	return all
}

// mount makes the mux answer the paths of a route. It panics if the log and the metrics have no
// name for them. Such a route is a bug, and the panic reveals it in every test that creates a
// handler.
func mount(mux *http.ServeMux, pattern string, handler http.Handler) {
	path := newRoute(pattern, "").path()
	if routes.of(path).pattern != pattern {
		panic("server: the route table lacks " + pattern)
	}
	if path == "/" {
		path = "/{$}"
	}
	mux.Handle(path, handler)
}
