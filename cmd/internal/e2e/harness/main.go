// Package harness starts the program for the tests that see it from outside: as a process, or as a server in the tests' own
// process. It watches what they send. Only tests import it.
package harness

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

// Main runs the tests of a package and exits: a TestMain calls it. It holds every exchange of the tests with the REST routes
// to the OpenAPI document, and has what they send noted; see Canaries. No goroutine may be left at the end but those that
// leftBehind names, of libraries.
func Main(m *testing.M, leftBehind ...goleak.Option) {
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
	idle := []interface{ CloseIdleConnections() }{Client.Transport.(*http.Transport), http.DefaultTransport.(*http.Transport)}
	Client.Transport = Watching{Next: document.Transport(Client.Transport, report)}
	http.DefaultTransport = Watching{Next: document.Transport(http.DefaultTransport, report)}

	traces, stop := collectTraces(report)
	code := storetest.Run(m)
	stop()
	for _, transport := range idle {
		transport.CloseIdleConnections()
	}
	if err := goleak.Find(leftBehind...); err != nil && code == 0 {
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
