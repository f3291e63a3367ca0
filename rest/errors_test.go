package rest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store"
)

func TestRetryAfterIsWholeSeconds(t *testing.T) {
	t.Parallel()
	h := &handler{Options: Options{Log: slog.New(slog.DiscardHandler)}}
	for wait, want := range map[time.Duration]string{0: "1", time.Nanosecond: "1", time.Second: "1", time.Second + 1: "2", 90*time.Second - 1: "90"} {
		for code, status := range map[store.Code]int{store.RateLimited: 429, store.Unavailable: 503} {
			err := store.NewError(code)
			err.RetryAfter = wait
			w := httptest.NewRecorder()
			h.writeError(w, httptest.NewRequest("GET", "/api/customers", nil), err)
			require.Equal(t, status, w.Code)
			require.Equal(t, want, w.Header().Get("Retry-After"), wait)
		}
	}
}

func TestClientDisconnectIsNotLogged(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := &handler{Options: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/customers", nil)

	h.writeError(httptest.NewRecorder(), r, errors.New("a cause"))
	require.Contains(t, log.String(), "a cause")
	log.Reset()
	leave()
	h.writeError(httptest.NewRecorder(), r, ctx.Err())
	require.Empty(t, log.String())
}
