package rest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAClientThatLeavesIsNoFault(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := &handler{Options: Options{Log: slog.New(slog.NewTextHandler(&log, nil))}}
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "/api/customers", nil)

	h.fail(httptest.NewRecorder(), r, errors.New("a cause"))
	require.Contains(t, log.String(), "a cause")
	log.Reset()
	leave()
	h.fail(httptest.NewRecorder(), r, ctx.Err())
	require.Empty(t, log.String())
}
