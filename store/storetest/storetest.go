// Package storetest gives tests a real Postgres, and each test a database of its own. Only tests import it.
//
// A package that uses it stops the server in its TestMain; without that New fails:
//
//	func TestMain(m *testing.M) { storetest.Main(m) }
//
// The server is found or started at the first call of New or Empty, once for a test binary:
//
//   - LUMEN_TEST_DATABASE_URL names one that runs already, by the URL of a superuser or of a role with CREATEDB and
//     CREATEROLE. Several test binaries may share it. What they make there they drop again, except lumen_app.
//   - Otherwise testcontainers runs the image LUMEN_TEST_POSTGRES_IMAGE (postgres:17-alpine by default), when a Docker
//     daemon answers and has the image or can pull it. A DOCKER_HOST that does not answer counts as no daemon.
//   - Otherwise the embedded Postgres takes its place, and a line on standard error says so and why.
//
// LUMEN_TEST_POSTGRES=testcontainers makes the last step a failure; LUMEN_TEST_POSTGRES=embedded forces it. Tests are
// never skipped.
//
// LUMEN_TEST_OWNER=weak makes the owner of the databases a role as on managed Postgres: no superuser, no BYPASSRLS, with
// CREATEDB and CREATEROLE. It then creates the databases and migrates them. Otherwise the server's superuser does.
//
// LUMEN_TEST_LONG=1 has the tests that do something many times do it as often as was promised, instead of as often as a
// change can wait for.
//
// Tests within package store itself must be in package store_test, as this package imports store.
package storetest

import (
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

// The environment that chooses the server, and how much is done with it.
const (
	urlVariable    = "LUMEN_TEST_DATABASE_URL"
	sourceVariable = "LUMEN_TEST_POSTGRES"
	imageVariable  = "LUMEN_TEST_POSTGRES_IMAGE"
	ownerVariable  = "LUMEN_TEST_OWNER"
	longVariable   = "LUMEN_TEST_LONG"
)

// Long reports whether the tests run in their long form, which takes an hour where the short one takes a minute.
func Long() bool { return os.Getenv(longVariable) != "" }

// Main runs the tests, stops the server and exits. It is what TestMain calls. Goroutines that are left are a failure.
func Main(m *testing.M) {
	code := Run(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// parallelTests is how many tests of a package run at once. By default it is the number of processors, but
// most tests wait for a deadline or for Postgres.
const parallelTests = 6

// Run runs the tests, stops the server and returns the exit code. After it nothing of this package is left running, so
// that a TestMain can look for leaked goroutines.
func Run(m *testing.M) (code int) {
	// A flag on the command line is read later and wins.
	if err := flag.Set("test.parallel", strconv.Itoa(max(parallelTests, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	running.Lock()
	running.watched = true
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

// running is the cluster of this test binary, started when first needed.
var running struct {
	sync.Mutex
	watched bool // Run will stop it
	started bool
	cluster *cluster
	err     error
	atEnd   []func() error
}

// require returns the cluster, or ends the test with why there is none. A start that failed is not tried again: the next
// test would wait as long for the same.
func require(t testing.TB) *cluster {
	t.Helper()
	running.Lock()
	defer running.Unlock()
	if !running.watched {
		t.Fatalf("storetest: this package has to stop the server, too: func TestMain(m *testing.M) { storetest.Main(m) }")
	}
	if !running.started {
		running.started = true
		running.cluster, running.err = startCluster()
	}
	if running.err != nil {
		t.Fatalf("storetest: no Postgres to test with: %v", running.err)
	}
	return running.cluster
}

// atEnd has work done when the tests are over.
func atEnd(work func() error) {
	running.Lock()
	defer running.Unlock()
	running.atEnd = append(running.atEnd, work)
}

// stop ends what require started and reports whether all went well.
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
	running.cluster, running.err = nil, fmt.Errorf("the tests are over")
	if err != nil {
		say("could not clean up: %v", err)
	}
	return err == nil
}

// say writes one line to standard error. Not to a test's log, which a passing test does not show.
func say(format string, args ...any) {
	fmt.Fprintln(os.Stderr, "storetest: "+oneLine(fmt.Sprintf(format, args...)))
}
