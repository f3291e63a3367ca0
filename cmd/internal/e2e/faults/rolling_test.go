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

// balancer is a plain reverse proxy: in turn to those that say they are ready, asked ten times a second; no retries.
type balancer struct {
	backends []*url.URL
	ready    []atomic.Bool
	turn     atomic.Uint64
	failed   atomic.Int64
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
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(b.next()) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			b.failed.Add(1)
			t.Errorf("the proxy met: %v", err)
			w.WriteHeader(http.StatusBadGateway)
		},
	})
	t.Cleanup(func() { close(stopped); watching.Wait(); server.Close() })
	return b, server.URL
}

// next is whose turn it is.
func (b *balancer) next() *url.URL {
	turn := int(b.turn.Add(1))
	for i := range b.backends {
		if i = (turn + i) % len(b.backends); b.ready[i].Load() {
			return b.backends[i]
		}
	}
	return &url.URL{Scheme: "http", Host: "127.0.0.1:1"} // which nobody has
}

// Two services behind a proxy are restarted in turn under load, and no client notices.
func TestFaultsRollingRestartsGoUnnoticed(t *testing.T) {
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
	tally := &tally{}
	w := startWriters(t, 6, address, m, tally)
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
	all := tally.between(time.Time{}, time.Time{})
	t.Log(summary(all))
	require.Empty(t, tally.complaints())
	requireOnly(t, "behind the proxy", all, fine, fine)
	require.Zero(t, b.failed.Load())
	w.compare(t, db, m)
}
