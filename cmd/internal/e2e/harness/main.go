// Package harness starts the program for the end-to-end tests, as a process or as a server in the
// process of the tests. It records the values that the tests send; see Canaries. Only tests import
// it.
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

// Main runs the tests of a package and exits. TestMain calls it. It checks every request and
// response of the REST routes against the OpenAPI document, and records the values that the tests
// send; see Canaries. A goroutine that still runs at the end fails the run unless leftBehind names
// it: some libraries leave one.
func Main(m *testing.M, leftBehind ...goleak.Option) {
	document, err := contract.Load(rest.OpenAPI(""))
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
	for _, found := range traces.leaks(watched.all...) {
		report("%s", found)
	}
	if broken > 0 && code == 0 {
		code = 1
	}
	for _, folder := range []string{programFolder, usedFolder.path} {
		if folder != "" {
			_ = os.RemoveAll(folder)
		}
	}
	os.Exit(code)
}
