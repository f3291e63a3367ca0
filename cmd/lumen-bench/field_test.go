//go:build long

package main

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// long selects the long form, with the sizes and times of the README, for a machine that does
// nothing else.
var long = storetest.Long()

// either returns the value of the form that runs.
func either[T any](inLong, inShort T) T {
	if long {
		return inLong
	}
	return inShort
}

// bar fails the test when a promised figure is missed, in the long form only. The short form runs
// beside other work on the machine, and would measure that as well.
func bar(t *testing.T, holds bool, otherwise string, args ...any) {
	t.Helper()
	switch {
	case holds:
	case long:
		t.Errorf(otherwise, args...)
	default:
		t.Logf("below the bar of the long form: "+otherwise, args...)
	}
}

// field is shared by the load tests: a Postgres with customers of many merchants. The large
// merchant is not among these and has the customers of a long list.
type field struct {
	*bench
	*database
	large merchant
}

// openField loads the customers once; TestMain removes them.
var openField = sync.OnceValues(func() (f field, err error) {
	ctx := context.Background()
	run := runCommand{Customers: either(200_000, 20_000), Merchants: either(100, 10), Sizes: []int{1}}
	if f.bench, err = run.open(ctx); err != nil {
		return f, err
	}
	afterTests = func() { _ = f.cleanUp(ctx) }
	if f.database, err = f.load(ctx, "load", f.Merchants+1, f.Customers/f.Merchants); err != nil {
		return f, err
	}
	last := len(f.merchants) - 1
	f.large, f.merchants = f.merchants[last], f.merchants[:last]
	filling, err := pgx.Connect(ctx, f.database.superuserURL)
	if err != nil {
		return f, err
	}
	defer func() { _ = filling.Close(ctx) }()
	return f, f.large.grow(ctx, filling, longList-f.large.customers)
})

// longList is how many customers the large merchant has. Their list is larger than what the kernel
// buffers for a slow reader.
const longList = 20_000

func newField(t *testing.T) field {
	t.Helper()
	f, err := openField()
	require.NoError(t, err)
	return f
}

// connections is the setting for a Postgres that has all processors but one, as README.md
// recommends.
var connections = "LUMEN_DATABASE_CONNECTIONS=" + strconv.Itoa(6*max(1, runtime.NumCPU()-1))

// serve runs `lumen serve` for a test, with the default settings except for the connections and the
// given environment.
func (f field) serve(t *testing.T, environment ...string) *server {
	t.Helper()
	lumen, err := f.startLumen(t.Context(), f.serveURL, append(environment, connections)...)
	require.NoError(t, err)
	t.Cleanup(lumen.stop)
	return lumen
}

// generate returns a generator with open connections, after it has warmed up the server.
func generate(t *testing.T, to *server, connections int, warm prepare) *generator {
	t.Helper()
	g, err := newGenerator(to, connections)
	require.NoError(t, err)
	t.Cleanup(g.close)
	require.NoError(t, g.press(t.Context(), warm, min(connections, peakClients), time.Second/2).failures())
	return g
}
