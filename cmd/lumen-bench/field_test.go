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

// long is the form for a machine that does nothing else: the sizes and times of the README.
var long = storetest.Long()

// either is the one for the long form, or the one for the short form.
func either[T any](inLong, inShort T) T {
	if long {
		return inLong
	}
	return inShort
}

// bar holds a measurement to what was promised: in the long form alone, as the short one, on a machine that does other things
// besides, measures those as well.
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

// field is what the load tests share: a Postgres with customers of many merchants. The last merchant, which is not among
// those, has as many customers as a long list has.
type field struct {
	*bench
	*database
	large merchant
}

// openField loads the customers once; TestMain takes them away.
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

// longList is how many customers the large merchant has: their list is more than the kernel keeps for a slow reader.
const longList = 20_000

func newField(t *testing.T) field {
	t.Helper()
	f, err := openField()
	require.NoError(t, err)
	return f
}

// connections suit a Postgres that has all processors but one, as README.md recommends.
var connections = "LUMEN_DATABASE_CONNECTIONS=" + strconv.Itoa(6*max(1, runtime.NumCPU()-1))

// serve runs `lumen serve` for a test. It is as by default but for the connections and what the environment adds.
func (f field) serve(t *testing.T, environment ...string) *server {
	t.Helper()
	lumen, err := f.startLumen(t.Context(), f.serveURL, append(environment, connections)...)
	require.NoError(t, err)
	t.Cleanup(lumen.stop)
	return lumen
}

// generate returns a generator whose connections are open, after the server was warmed up.
func generate(t *testing.T, to *server, connections int, warm prepare) *generator {
	t.Helper()
	g, err := newGenerator(to, connections)
	require.NoError(t, err)
	t.Cleanup(g.close)
	require.NoError(t, g.press(t.Context(), warm, min(connections, peakClients), time.Second/2).failures())
	return g
}
