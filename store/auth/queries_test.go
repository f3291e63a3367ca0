package auth

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/gate"
)

// takes returns work that lasts for a time.
func takes(d time.Duration) func(context.Context) error {
	return func(context.Context) error { time.Sleep(d); return nil }
}

// Invalid credentials are refused or wait, while known credentials and records of use always get
// connections.
func TestJunkDoesNotDelayKnownCredentials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &queries{gate: gate.New(connections, store.DefaultMerchantConcurrency)}
		const statement = "SELECT FROM public.lumen_authenticate($1)"
		var junk sync.WaitGroup
		refused := 0
		var mu sync.Mutex
		for range 3000 { // 1,000 a second; 500 can be served
			junk.Go(func() {
				if err := q.admitted(t.Context(), tenantUnknown, statement, takes(4*time.Millisecond)); err != nil {
					mu.Lock()
					defer mu.Unlock()
					refused++
					if store.AsError(err).Code != store.Unavailable {
						t.Error(err)
					}
				}
			})
			for _, tenant := range []string{tenantKnown, tenantUsage} {
				start := time.Now()
				require.NoError(t, q.admitted(t.Context(), tenant, statement, takes(time.Microsecond)))
				require.Equal(t, time.Microsecond, time.Since(start).Truncate(time.Microsecond))
			}
			time.Sleep(time.Millisecond)
		}
		junk.Wait()
		require.Positive(t, refused)
		require.Zero(t, q.gate.Stats().Waiting)
	})
}

// A refusal of the gate is an outage for the caller, whose own statements did not cause it.
func TestRefusalsOfTheGateAreOutages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := &queries{gate: gate.New(1, 1)}
		release := make(chan struct{})
		var callers sync.WaitGroup
		callers.Go(func() {
			_ = q.admitted(t.Context(), tenantUnknown, "", func(context.Context) error { <-release; return nil })
		})
		synctest.Wait()
		for range 3 {
			callers.Go(func() {
				err := q.admitted(t.Context(), tenantUnknown, "", func(context.Context) error { t.Error("it was admitted"); return nil })
				if store.AsError(err).Code != store.Unavailable {
					t.Error(err)
				}
			})
		}
		time.Sleep(5 * time.Second)
		close(release)
		callers.Wait()
		stats := q.gate.Stats()
		require.EqualValues(t, 3, stats.Overloads+stats.TenantLimits)
	})
}
