//go:build long

package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// othersRate is how many requests a second the other clients send.
	othersRate = 300
	// slack is how much later than the timeout a test may notice a closed socket: it looks once a
	// second, and Go's HTTP server lingers for half a second.
	slack = 3 * time.Second
	// mostSlow is how many of the thousand clients must be connected at the same time. The others
	// are connecting again.
	mostSlow = 900
)

// A thousand clients are slow in every way there is, while others work.
func TestSlowClients(t *testing.T) {
	f := newField(t)
	lumen, monitor, err := f.startWatched(t.Context(), f.database, connections, "LUMEN_IDLE_TIMEOUT=60s")
	require.NoError(t, err)
	t.Cleanup(lumen.stop)
	apart(t, lumen)
	others := requests{lumen, f.database}.mix()
	g := generate(t, lumen, 64, others)
	p99 := func(windows int) (all []time.Duration) { // fails on an error or a refusal
		t.Helper()
		for range windows {
			o := g.offer(t.Context(), others, othersRate, either(5*time.Second, time.Second))
			require.NoError(t, o.failures())
			require.Zero(t, o.count(exchange.isRefused))
			all = append(all, o.p99())
		}
		return all
	}
	idle := p99(either(4, 2))
	before, err := monitor.read(t.Context())
	require.NoError(t, err)

	slow := &slowClients{
		server: lumen, kinds: slowKinds(strings.TrimPrefix(lumen.url, "http://"), f.merchants[0], f.large),
		open: make(map[int]*slowClient), again: long,
	}
	stop := look(t, slow)
	defer stop()
	defer slow.leave()
	// A slow reader first gets what the kernel buffers, which is megabytes of a list. That is work,
	// and it is done before the other clients come.
	begun := time.Now()
	slow.come(either(5*time.Second, time.Second), isReading)
	arriving := g.offer(t.Context(), others, othersRate, either(5*time.Second, time.Second))
	require.NoError(t, arriving.failures())
	require.Eventually(t, func() bool { return slow.left(isReading) == 200 && idles(t, lumen) }, 20*time.Second, 10*time.Millisecond)
	slow.come(either(5*time.Second, time.Second/2), func(k *slowKind) bool { return !k.reads }) // so that not all end at the same time
	require.Eventually(t, func() bool {
		held, err := slow.look()
		return err == nil && held >= mostSlow
	}, 10*time.Second, 50*time.Millisecond, "there should be a thousand")
	looked := len(slow.counts())
	busy := p99(either(12, 3))
	if held := slow.counts()[looked:]; long {
		require.NotEmpty(t, held)
		t.Logf("of the slow ones %d to %d were there", slices.Min(held), slices.Max(held))
		require.GreaterOrEqual(t, slices.Min(held), mostSlow*9/10)
	}
	slow.stay()
	require.Empty(t, slow.faults)

	// The server closes each connection in time.
	soon := func(k *slowKind) bool { return long || !k.waits }
	require.Eventually(t, func() bool { return slow.left(soon) == 0 }, either(70*time.Second, 15*time.Second), 100*time.Millisecond)
	t.Logf("the last was let go of after %v", time.Since(begun).Round(time.Second/10))
	for _, kind := range slow.kinds {
		most, n := slow.longest(kind.name)
		if !soon(&kind) {
			continue
		}
		t.Logf("%s: %d let go of, after at most %v", kind.name, n, most.Round(time.Second/10))
		require.GreaterOrEqual(t, n, kind.many)
		require.LessOrEqual(t, most, kind.freed+slack, kind.name)
	}
	slow.leave()
	idle = append(idle, p99(either(4, 1))...)
	t.Logf("p99 of the others: %.1f ms without the slow ones, %.1f ms while they came (%d refused), %.1f ms with them there", ms(median(idle)), ms(arriving.p99()), arriving.count(exchange.isRefused), ms(median(busy)))
	bar(t, median(busy) <= 2*median(idle), "the others' p99 is %v beside the slow, %v without", median(busy), median(idle))

	// The server keeps nothing of the slow clients.
	var after vitals
	require.Eventually(t, func() bool {
		after, err = monitor.read(t.Context())
		return err == nil && after.Goroutines <= before.Goroutines+10 && after.Files <= before.Files+5
	}, 10*time.Second, 200*time.Millisecond, "goroutines and files: %v before", before)
	t.Logf("%.0f goroutines and %.0f open files before, %.0f and %.0f afterwards; resident memory %.0f and %.0f MiB",
		before.Goroutines, before.Files, after.Goroutines, after.Files, before.Resident/(1<<20), after.Resident/(1<<20))
}

func isReading(k *slowKind) bool { return k.reads }

// idles reports whether the server does next to nothing for a while.
func idles(t *testing.T, s *server) bool {
	t.Helper()
	before := s.usage()
	time.Sleep(200 * time.Millisecond)
	return s.usage().cpu-before.cpu <= 20*time.Millisecond
}

// look looks at the sockets again and again until stop is called.
func look(t *testing.T, s *slowClients) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(time.Second / 2); ctx.Err() == nil; <-tick.C {
			if _, err := s.look(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// longest returns the longest time that the server held a socket of a kind, and how many of the
// kind it has closed.
func (s *slowClients) longest(kind string) (most time.Duration, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.done {
		if c.kind.name == kind {
			most, n = max(most, c.held), n+1
		}
	}
	return most, n
}
