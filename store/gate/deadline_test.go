package gate

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A request's statements have the rest of its time, but each at most statementTimeout. Each later
// batch of a list has statementTimeout.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		left := func(continued bool) time.Duration {
			ctx, waited := WithArrival(t.Context())
			time.Sleep(2 * time.Second) // lookup of the credential
			time.Sleep(5 * time.Second)
			waited(5 * time.Second) // for the rest of the body
			time.Sleep(2 * time.Second)
			if continued {
				ctx = Continue(ctx)
			}
			ctx, cancel := WithDeadline(ctx)
			defer cancel()
			until, _ := ctx.Deadline()
			return time.Until(until)
		}
		require.Equal(t, requestTimeout-4*time.Second, left(false))
		require.Equal(t, statementTimeout, left(true))

		ctx, _ := WithArrival(t.Context())
		ctx, cancel := WithDeadline(ctx)
		defer cancel()
		until, _ := ctx.Deadline()
		require.Equal(t, statementTimeout, time.Until(until))
		require.LessOrEqual(t, requestTimeout+maxStall, 8*time.Second, "WithArrival promises 8 s")
	})
}
