package store_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// freezer forwards bytes to a server until it is frozen. Then connections stay open, but no bytes
// arrive.
func freezer(t *testing.T, target string) (address string, freeze func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var frozen atomic.Bool
	var mu sync.Mutex
	var open []net.Conn
	pass := func(to io.Writer, from io.Reader) {
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if !frozen.Load() {
				_, _ = to.Write(buffer[:n])
			}
		}
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			mu.Lock()
			open = append(open, client, server)
			mu.Unlock()
			go pass(server, client)
			go pass(client, server)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range open {
			_ = conn.Close()
		}
	})
	return listener.Addr().String(), func() { frozen.Store(true) }
}

// Every call ends in time when the database stops answering without closing its connections.
func TestASilentDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	m := db.Merchant(t, "Silent")
	ctx := db.Context(t, m)
	u, err := url.Parse(db.AppURL())
	require.NoError(t, err)
	address, freeze := freezer(t, u.Host)
	u.Host = address
	service := storetest.Service(t, u.String(), false)
	s, a := storetest.Open(t, service, store.Options{MaxConnections: 4}), storetest.OpenAuth(t, service, auth.Options{})
	_, err = a.Authenticator.Authenticate(t.Context(), m.WriteKey)
	require.NoError(t, err)
	for batch, err := range s.Customers.All(ctx, store.Filter{}) {
		require.NoError(t, err)
		require.Empty(t, batch)
	}

	freeze()
	var done sync.WaitGroup
	for name, call := range map[string]func(context.Context) error{
		"authenticate": func(ctx context.Context) error { _, err := a.Authenticator.Authenticate(ctx, m.ReadKey); return err },
		"get":          func(ctx context.Context) error { _, err := s.Customers.Get(ctx, "cust_a"); return err },
		"create": func(ctx context.Context) error {
			_, err := s.Customers.Create(ctx, emailOf("a@b.example"), store.WriteOptions{})
			return err
		},
		"list":  func(ctx context.Context) error { _, err := s.Customers.List(ctx, store.PageQuery{}); return err },
		"count": func(ctx context.Context) error { _, err := s.Customers.Count(ctx, store.Filter{}); return err },
		"another get, which waits for a connection": func(ctx context.Context) error { _, err := s.Customers.Get(ctx, "cust_a"); return err },
	} {
		done.Go(func() {
			start := time.Now()
			err := call(ctx)
			if store.AsError(err).Code != store.Unavailable || time.Since(start) > 9*time.Second {
				t.Errorf("%s: %v after %v", name, err, time.Since(start))
			}
		})
	}
	done.Wait()
}
