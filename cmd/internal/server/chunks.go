package server

import "net/http"

// closeAfterChunks ends the connection of every request whose body came in chunks. Such a request may have had a length as
// well, which net/http drops without a word: a proxy that believed the length would take the rest of what it sent for the
// body, and the server for the next request (RFC 9112, section 6.1, demands that the connection be closed).
func closeAfterChunks(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 && r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
