//go:build faults

package faults

import (
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// balancer is a reverse proxy that sends requests in turn to the backends whose /readyz, which it
// polls ten times a second, returned 200. It does not retry.
type balancer struct {
	backends       []*url.URL
	ready          []atomic.Bool
	turn           atomic.Uint64
	failedRequests atomic.Int64
}

func newBalancer(t *testing.T, services ...*service) (*balancer, string) {
	t.Helper()
	b := &balancer{ready: make([]atomic.Bool, len(services))}
	stopped := make(chan struct{})
	var watching sync.WaitGroup
	for i, s := range services {
		backend, err := url.Parse(s.url)
		require.NoError(t, err)
		b.backends = append(b.backends, backend)
		watching.Go(func() {
			for {
				status, _ := probe(s.url + "/readyz")
				b.ready[i].Store(status == 200)
				select {
				case <-stopped:
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 32},
		ErrorLog:  log.New(t.Output(), "", 0),
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(b.nextBackend()) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			b.failedRequests.Add(1)
			t.Errorf("the proxy could not forward a request: %v", err)
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	t.Cleanup(func() { close(stopped); watching.Wait(); server.Close() })
	return b, server.URL
}

// nextBackend returns the next ready backend.
func (b *balancer) nextBackend() *url.URL {
	turn := int(b.turn.Add(1))
	for i := range b.backends {
		if i = (turn + i) % len(b.backends); b.ready[i].Load() {
			return b.backends[i]
		}
	}
	return &url.URL{Scheme: "http", Host: "127.0.0.1:1"} // nothing listens there
}

// TestFaultsRollingRestartsFailNoRequest restarts two services behind a proxy in turn under load.
// No request may fail. It fails if a service stops accepting connections before the proxy has
// noticed the stop.
func TestFaultsRollingRestartsFailNoRequest(t *testing.T) {
	t.Parallel()
	db := storetest.NewBreakable(t, storetest.BreakableOptions{})
	m := db.Merchant(t, "Rolling")
	services := []*service{
		startService(t, db.AppURL(), "LUMEN_SHUTDOWN_DELAY=1s"), startService(t, db.AppURL(), "LUMEN_SHUTDOWN_DELAY=1s"),
	}
	b, address := newBalancer(t, services...)
	for i, s := range services {
		s.p.Canaries.Covers(t, strings.TrimPrefix(address, "http://"))
		eventually(t, 5*time.Second, "ready", b.ready[i].Load)
	}
	exchanges := &exchangeLog{}
	w := startWriters(t, 6, address, m, exchanges)
	for range rounds(1, 20) {
		for i, s := range services {
			w.awaitMore(t, 50)
			s.signal(t, syscall.SIGTERM)
			require.NoError(t, s.p.Wait(t), s.p.Stderr)
			w.awaitMore(t, 50)
			s.start(t)
			eventually(t, 5*time.Second, "ready again", b.ready[i].Load)
		}
	}
	w.awaitMore(t, 50)
	w.stop()
	all := exchanges.between(time.Time{}, time.Time{})
	t.Log(summary(all))
	require.Empty(t, exchanges.violations())
	requireStatuses(t, "behind the proxy", all, succeeds, succeeds)
	require.Zero(t, b.failedRequests.Load())
	w.compare(t, db, m)
}
