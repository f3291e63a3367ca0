// Package storetest gives tests a real Postgres, and each test a database of its own. Only tests
// import it.
//
// A package that uses it stops the server in its TestMain. Without that, New fails:
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
// The first call of New or Empty finds or starts the server, once for a test binary:
//
//   - LUMEN_TEST_DATABASE_URL names a running server, by the URL of a superuser or of a role with
//     CREATEDB and CREATEROLE. Several test binaries may share the server. They drop what they make
//     there, except lumen_app.
//   - Otherwise testcontainers runs the image LUMEN_TEST_POSTGRES_IMAGE (default
//     postgres:17-alpine), if a Docker daemon answers and has the image or can pull it. A
//     DOCKER_HOST that does not answer counts as no daemon.
//   - Otherwise the embedded Postgres runs.
//
// A line on standard error says which Postgres the tests run on, and why it is the embedded one.
// `go test` shows it with -v and when the package fails. Without any Postgres the test binary ends
// at once with one message. Tests are never skipped.
//
// LUMEN_TEST_POSTGRES=testcontainers excludes the embedded Postgres; LUMEN_TEST_POSTGRES=embedded
// excludes the other sources.
//
// LUMEN_TEST_OWNER=weak makes the owner of the databases a role as on managed Postgres: not a
// superuser, without BYPASSRLS, with CREATEDB and CREATEROLE. That role then creates and migrates
// the databases. By default the superuser of the server does.
//
// With LUMEN_TEST_LONG=1, tests that repeat something run the number of rounds that a release
// needs. By default they run as many as fit a change.
//
// Tests of package store itself must be in package store_test, because this package imports store.
package storetest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// These variables choose the server and the length of the tests.
const (
	urlVariable    = "LUMEN_TEST_DATABASE_URL"
	sourceVariable = "LUMEN_TEST_POSTGRES"
	imageVariable  = "LUMEN_TEST_POSTGRES_IMAGE"
	ownerVariable  = "LUMEN_TEST_OWNER"
	longVariable   = "LUMEN_TEST_LONG"
)

// Long reports whether the tests run in their long form, which takes an hour where the short form
// takes a minute.
func Long() bool { return os.Getenv(longVariable) != "" }

// Main runs the tests, stops the server and exits. TestMain calls it. Leaked goroutines fail the
// run.
func Main(m *testing.M) {
	code := Run(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// parallelTests is how many tests of a package run at once. By default it is the number of processors, but
// most tests wait for a deadline or for Postgres. With more, a slow machine misses the deadlines.
const parallelTests = 3

// Run runs the tests, stops the server and returns the exit code. Nothing of this package runs
// after it, so that TestMain can look for leaked goroutines.
func Run(m *testing.M) (code int) {
	// A flag on the command line is read later and wins.
	if err := flag.Set("test.parallel", strconv.Itoa(max(parallelTests, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	running.Lock()
	running.stops = true
	running.Unlock()

	interrupted := make(chan os.Signal, 1)
	finished := make(chan struct{})
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-interrupted:
			stop()
			os.Exit(130)
		case <-finished:
		}
	})
	defer func() {
		if !stop() && code == 0 {
			code = 1
		}
		signal.Stop(interrupted)
		close(finished)
		watching.Wait()
	}()
	return m.Run()
}

// running is the cluster of this test binary. The first test that needs it starts it.
var running struct {
	sync.Mutex
	stops   bool // Run will stop it
	started bool
	cluster *cluster
	err     error
	atEnd   []func() error
}

// require returns the cluster, or fails the test. It does not repeat a start that failed: the next
// test would wait as long for the same failure.
func require(t testing.TB) *cluster {
	t.Helper()
	running.Lock()
	defer running.Unlock()
	if !running.stops {
		t.Fatalf("storetest: this package must stop the server, too: func TestMain(m *testing.M) { storetest.Main(m) }")
	}
	if !running.started {
		running.started = true
		running.cluster, running.err = startCluster()
		var none *noServerError
		if errors.As(running.err, &none) {
			// Hundreds of tests would repeat the message.
			fmt.Fprintln(os.Stderr, "storetest:", none)
			os.Exit(1)
		}
	}
	if running.err != nil {
		t.Fatalf("storetest: prepare Postgres: %v", running.err)
	}
	return running.cluster
}

// atEnd registers a function that runs when the tests are over.
func atEnd(work func() error) {
	running.Lock()
	defer running.Unlock()
	running.atEnd = append(running.atEnd, work)
}

// stop ends what require started and reports whether that succeeded.
func stop() bool {
	running.Lock()
	defer running.Unlock()
	for _, work := range running.atEnd {
		if err := work(); err != nil {
			say("could not clean up: %v", err)
		}
	}
	running.atEnd = nil
	if running.cluster == nil {
		return true
	}
	err := running.cluster.stop()
	running.cluster, running.err = nil, errors.New("the tests are over")
	if err != nil {
		say("could not clean up: %v", err)
	}
	return err == nil
}

// say writes one line to standard error. The log of a test would not do: `go test` does not show it
// when that test passes.
func say(format string, args ...any) {
	fmt.Fprintln(os.Stderr, "storetest: "+oneLine(fmt.Sprintf(format, args...)))
}
