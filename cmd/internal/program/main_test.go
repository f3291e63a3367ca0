package program

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"lumen/rest"
	"lumen/rest/contract"
	"lumen/store/storetest"
)

// others are goroutines that libraries of the tests leave.
var others []goleak.Option

// TestMain holds every exchange of the tests with the REST routes to the OpenAPI document, and has what they send noted; see
// canaries.
func TestMain(m *testing.M) {
	document, err := contract.Load(rest.OpenAPI())
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	broken := 0
	report := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		broken++
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
	idle := []interface{ CloseIdleConnections() }{client.Transport.(*http.Transport), http.DefaultTransport.(*http.Transport)}
	client.Transport = watching{document.Transport(client.Transport, report)}
	http.DefaultTransport = watching{document.Transport(http.DefaultTransport, report)}

	traces, stop := collectTraces(report)
	code := storetest.Run(m)
	stop()
	for _, transport := range idle {
		transport.CloseIdleConnections()
	}
	if err := goleak.Find(others...); err != nil && code == 0 {
		report("%v", err)
	}
	for _, found := range traces.caught(watched.all...) {
		report("%s", found)
	}
	if broken > 0 && code == 0 {
		code = 1
	}
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
	os.Exit(code)
}
