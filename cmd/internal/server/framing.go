package server

import "net/http"

// closeAfterAmbiguousFraming ends the connection of every request that a proxy and net/http may delimit differently. On
// a connection that lived on, net/http would execute bytes that the proxy took for a body (request smuggling).
//
// It wraps all other handlers, so that it covers every path, before and after the credential is checked. net/http
// itself ends the connection of every request that it refuses.
func closeAfterAmbiguousFraming(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hasOneFraming(r) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// hasOneFraming reports whether the request has a single framing: its Content-Length, or the frames
// of HTTP/2. Requests that have more:
//   - A request with Transfer-Encoding may carry a Content-Length as well, which net/http drops silently. RFC 9112,
//     section 6.1, demands that the server close the connection.
//   - An HTTP/1.0 request may carry Transfer-Encoding, which net/http drops before any handler sees the request. A
//     proxy may obey it. So none of them has one framing, Connection: keep-alive or not.
//   - "PRI * HTTP/2.0" and HTTP/1.2 to 1.9 get through net/http, which reads them as HTTP/1.1. No client of Lumen sends
//     them, and proxies differ about them.
//   - A CONNECT request has no content (RFC 9110, section 9.3.6), whatever its Content-Length, which net/http obeys. To
//     a proxy, a 2xx reply to it, such as /metrics gives, makes the connection a tunnel.
func hasOneFraming(r *http.Request) bool {
	if r.ProtoMajor == 2 && r.Method != "PRI" {
		return true // net/http took "PRI * HTTP/2.0" alone for a request in the form of HTTP/1
	}
	return r.Proto == "HTTP/1.1" && len(r.TransferEncoding) == 0 && r.Method != http.MethodConnect
}
