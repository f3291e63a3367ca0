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

// The APIs, as the metrics name them in the label door.
const (
	apiREST    = "rest"
	apiGraphQL = "graphql"
	apiOther   = "other" // pages, public keys, paths that lead nowhere
)

const (
	graphQLPath = "/graphql"
	// jwksPath leads to the public keys that verify access tokens.
	jwksPath = "/.well-known/jwks.json"
)

// route is where a path leads, as the log, the metrics and the traces name it: never an id.
type route struct {
	// pattern is a path. A wildcard in it stands for one segment. At the end it stands for all paths
	// below it, those included that are answered with 404.
	pattern string
	// literals are the parts of the pattern between its wildcards, "" after one at the end.
	literals []string
	api      string
}

var wildcard = regexp.MustCompile(`\{\w+\}`)

func newRoute(pattern, api string) *route {
	return &route{pattern, wildcard.Split(pattern, -1), api}
}

// path is the pattern up to its first wildcard.
func (r *route) path() string { return r.literals[0] }

func (r *route) hasWildcard() bool { return len(r.literals) > 1 }

// matches reports whether the route is that of a path.
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

// noRoute is the route of the paths that no other has.
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

// mount has the mux answer the paths of a route. It panics when the log and the metrics have no
// name for them: such a route is a bug, and this way it shows in each test that makes a handler.
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
