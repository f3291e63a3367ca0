package pages

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// NotFound answers a browser's request for a page that does not exist with a page. All other
// requests go to next: those for the APIs' paths, those of other methods than GET and HEAD, and
// those whose client does not prefer HTML to JSON.
func NotFound(options Options, next http.Handler) http.Handler {
	content := page(landing, "landing/404.html", "landing/frame.html")(options.landingData(""))
	s := site{policy: landingPolicy, sameOrigin: true}
	browser := s.secure(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaTypes[""])
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write(content)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The path comes first: most requests are for the REST API, which next answers.
		isPage := !isBelow(r.URL.Path, "/api", "/graphql", "/.well-known") &&
			(r.Method == http.MethodGet || r.Method == http.MethodHead)
		if isPage && prefersHTML(r) {
			browser(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isBelow reports whether the path is one of the roots or below one.
func isBelow(path string, roots ...string) bool {
	for _, root := range roots {
		if path == root || strings.HasPrefix(path, root+"/") {
			return true
		}
	}
	return false
}

// prefersHTML reports whether the request's Accept names text/html with a greater weight than it
// gives to JSON. Programs accept anything, or JSON: they get the API's reply.
func prefersHTML(r *http.Request) bool {
	var html, inJSON float64
	specificity := 0 // of the range that inJSON is from
	for _, element := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		name, params, err := mime.ParseMediaType(strings.TrimSpace(element))
		if err != nil {
			continue
		}
		weight := 1.0
		if text, ok := params["q"]; ok {
			weight, _ = strconv.ParseFloat(text, 64) // a malformed weight refuses the type
		}
		if name == "text/html" {
			html = weight
		}
		rank := map[string]int{"*/*": 1, "application/*": 2, "application/json": 3}[name]
		if rank > specificity {
			specificity, inJSON = rank, weight
		}
	}
	return html > inJSON
}
