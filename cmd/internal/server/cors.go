package server

import (
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/rs/cors"

	"lumen/store"
)

var (
	originForm = regexp.MustCompile(`^(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?$`)
	// appOriginForm matches the origins of apps that show pages, such as capacitor://localhost.
	appOriginForm = regexp.MustCompile(`^([a-z][a-z0-9+.-]*)://([A-Za-z0-9._~-]+)(:[1-9][0-9]{0,4})?$`)
)

// IsOrigin reports whether text is an origin as browsers send it: scheme and host in lower-case
// ASCII, and the port unless it is the scheme's default. The scheme may be one that an app defines.
// The hosts of such origins keep their letter case.
func IsOrigin(text string) bool {
	parts := originForm.FindStringSubmatch(text)
	if parts != nil {
		return parts[3] != map[string]string{"http": ":80", "https": ":443"}[parts[1]]
	}
	parts = appOriginForm.FindStringSubmatch(text)
	return parts != nil && !slices.Contains(webSchemes, parts[1])
}

// webSchemes are the schemes that the URL standard defines. Among them, only pages of http and
// https have an origin.
var webSchemes = []string{"http", "https", "ws", "wss", "ftp", "file", "blob", "data", "about", "javascript"}

// crossOrigin lets pages of the allowed origins call next from a browser. It answers their
// preflights without a credential. Lumen uses no cookies, so a page can do only what its credential
// allows.
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
		ExposedHeaders: []string{
			requestIDHeader, "Location", "ETag", store.SequenceHeader, "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After",
			"WWW-Authenticate",
		},
		MaxAge: 600,
	}).Handler(next)
}

// isLoopbackOrigin reports whether a page comes from a server on its reader's own machine, such as
// the development server of a frontend.
func isLoopbackOrigin(text string) bool {
	_, host, _ := strings.Cut(text, "://")
	return IsOrigin(text) && isLoopback(host)
}

// isLoopback reports whether a host, with or without a port, can only be the local machine.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
