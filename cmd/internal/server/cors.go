package server

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/rs/cors"
)

// IsOrigin reports whether text is an origin as browsers write it: scheme, host, and a port unless it is the scheme's own.
func IsOrigin(text string) bool {
	origin, err := url.Parse(text)
	return err == nil && (origin.Scheme == "http" || origin.Scheme == "https") && origin.Hostname() != "" &&
		!strings.Contains(origin.Host, "*") && text == origin.Scheme+"://"+origin.Host
}

// crossOrigin lets pages of the origins that are allowed call next from a browser: their preflights are answered here,
// without a credential. There are no cookies, so a page can do no more than what the credential it holds lets it do.
func crossOrigin(options Options, next http.Handler) http.Handler {
	if len(options.Origins) == 0 && !options.LoopbackOnly {
		return next
	}
	allowed := make(map[string]bool)
	for _, origin := range options.Origins {
		allowed[strings.ToLower(origin)] = true
	}
	return cors.New(cors.Options{
		AllowOriginFunc: func(origin string) bool {
			return allowed[strings.ToLower(origin)] || options.LoopbackOnly && isLoopbackOrigin(origin)
		},
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{requestIDHeader, "Location", "Retry-After", "WWW-Authenticate"},
		MaxAge:         600,
	}).Handler(next)
}

// isLoopbackOrigin reports whether a page comes from a server on its reader's own machine, as that of a front end in
// development does.
func isLoopbackOrigin(text string) bool {
	origin, err := url.Parse(text)
	return err == nil && IsOrigin(text) && isLoopback(origin.Host)
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
