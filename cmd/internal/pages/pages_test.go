package pages_test

import (
	"net/http"
	"net/http/httptest"

	"lumen/rest"
)

// notFound is what answers in the server, too.
var notFound = rest.NewHandler(nil, nil, nil, rest.Options{})

type reply struct {
	Code   int
	Header http.Header // as it was sent
	Body   string
}

func get(h http.Handler, method, path string, header ...string) reply {
	r := httptest.NewRequest(method, "http://lumen.example:8080"+path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return reply{w.Code, w.Result().Header, w.Body.String()}
}
