package server

import (
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/rs/cors"
)

var (
	originForm = regexp.MustCompile(`^(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?$`)
	// appOriginForm is the form of the origins of apps that show pages, such as
	// capacitor://localhost.
	appOriginForm = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://([A-Za-z0-9._~-]+)(:[1-9][0-9]{0,4})?$`)
)

// IsOrigin reports whether text is an origin as browsers write it: scheme and host in lower-case ASCII, and a port unless
// it is the scheme's own. The scheme may be an app's own, whose hosts keep their letter case.
func IsOrigin(text string) bool {
	parts := originForm.FindStringSubmatch(text)
	if parts != nil {
		return parts[3] != map[string]string{"http": ":80", "https": ":443"}[parts[1]]
	}
	parts = appOriginForm.FindStringSubmatch(text)
	return parts != nil && !slices.Contains(webSchemes, parts[1])
}

// webSchemes are the schemes that the URL standard knows. Of these only HTTP's two have pages with
// an origin.
var webSchemes = []string{"http", "https", "ws", "wss", "ftp", "file", "blob", "data", "about", "javascript"}

// crossOrigin lets pages of the origins that are allowed call next from a browser: their preflights are answered here,
// without a credential. There are no cookies, so a page can do no more than what the credential it holds lets it do.
func crossOrigin(options Options, next http.Handler) http.Handler {
	if len(options.Origins) == 0 && !options.LoopbackOnly {
		return next
	}
	allowed := make(map[string]bool)
	for _, origin := range options.Origins {
		allowed[origin] = true
	}
	return cors.New(cors.Options{
		AllowOriginFunc: func(origin string) bool {
			return allowed[origin] || options.LoopbackOnly && isLoopbackOrigin(origin)
		},
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{requestIDHeader, "Location", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "WWW-Authenticate"},
		MaxAge:         600,
	}).Handler(next)
}

// isLoopbackOrigin reports whether a page comes from a server on its reader's own machine, as that of a front end in
// development does.
func isLoopbackOrigin(text string) bool {
	_, host, _ := strings.Cut(text, "://")
	return IsOrigin(text) && isLoopback(host)
}

// isLoopback reports whether a host, with or without a port, can only be the machine itself.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
