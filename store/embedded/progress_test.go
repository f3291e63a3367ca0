//go:build unix

package embedded

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	failure := errors.New("failure")
	slow := func() error { time.Sleep(200 * time.Millisecond); return failure }
	t.Run("writes lines where there is no terminal", func(t *testing.T) {
		t.Parallel()
		said := &notices{}
		p := &progress{said.add, nil, 20 * time.Millisecond}
		require.Equal(t, failure, p.waiting("waiting for a test", slow))
		require.GreaterOrEqual(t, len(said.lines), 2)
		require.Equal(t, "waiting for a test (0 s)", said.lines[0])
	})
	t.Run("overwrites one line on a terminal, and erases it", func(t *testing.T) {
		t.Parallel()
		said, terminal := &notices{}, &bytes.Buffer{}
		p := &progress{said.add, terminal, 20 * time.Millisecond}
		require.Equal(t, failure, p.waiting("waiting for a test", slow))
		require.Empty(t, said.lines)
		require.NotContains(t, terminal.String(), "\n")
		require.Contains(t, terminal.String(), "\r\x1b[Kwaiting for a test (0 s)")
		require.True(t, strings.HasSuffix(terminal.String(), "\r\x1b[K"))
	})
}

// Each step that can take seconds says what it waits for.
func TestStartReportsItsSteps(t *testing.T) {
	t.Parallel()
	home, err := openFolder(t.Context(), newFolder(t), t.Logf)
	require.NoError(t, err)
	held, err := home.lock(t.Context())
	require.NoError(t, err)
	said := &notices{}
	p := &progress{said.add, nil, time.Millisecond}
	server, err := startLocked(t.Context(), Config{Parameters: quick}, home, held, p)
	require.NoError(t, err)
	require.NoError(t, server.Stop())
	for _, status := range []string{
		"initdb is making the database cluster", "waiting for Postgres to start",
		"waiting for Postgres to accept a session",
	} {
		require.Contains(t, strings.Join(said.lines, "\n"), status)
	}
	require.Less(t, noticeInterval, 5*time.Second)
}
