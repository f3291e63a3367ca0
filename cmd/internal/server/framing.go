package server

import "net/http"

// closeAfterAmbiguousFraming closes the connection after every request whose end a proxy and
// net/http may see at different places. On a connection that stayed open, net/http would execute
// bytes that the proxy took for a body (request smuggling).
//
// It wraps all other handlers, so it covers every path, before and after authentication. net/http
// itself closes the connection after every request that it refuses.
func closeAfterAmbiguousFraming(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hasOneFraming(r) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// hasOneFraming reports whether the request has a single framing: its Content-Length, or the frames
// of HTTP/2. These requests have more than one:
//   - A request with Transfer-Encoding may carry a Content-Length as well, which net/http drops
//     silently. RFC 9112, section 6.1, requires the server to close the connection.
//   - An HTTP/1.0 request may carry Transfer-Encoding, which net/http drops before any handler sees
//     the request. A proxy may obey it. So every HTTP/1.0 request counts as ambiguous, with or
//     without Connection: keep-alive.
//   - "PRI * HTTP/2.0" and HTTP/1.2 to 1.9 get through net/http, which reads them as HTTP/1.1. No
//     client of Lumen sends them, and proxies treat them differently.
//   - A CONNECT request has no content (RFC 9110, section 9.3.6), whatever its Content-Length,
//     which net/http obeys. To a proxy, a 2xx reply to it, such as that of /metrics, turns the
//     connection into a tunnel.
func hasOneFraming(r *http.Request) bool {
	if r.ProtoMajor == 2 && r.Method != "PRI" {
		return true // net/http reads only "PRI * HTTP/2.0" as an HTTP/1 request with this version
	}
	return r.Proto == "HTTP/1.1" && len(r.TransferEncoding) == 0 && r.Method != http.MethodConnect
}
