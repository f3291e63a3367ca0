package embedded

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The terminal would wrap a longer status line, and each update would leave a row behind.
func TestStatusLineFitsTheTerminal(t *testing.T) {
	t.Parallel()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer func() { _ = control.Close() }()
	require.NoError(t, unix.IoctlSetPointerInt(int(control.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(control.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	screen, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	const columns = 40
	require.NoError(t, unix.IoctlSetWinsize(int(screen.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))

	p := &progress{t.Logf, screen, 20 * time.Millisecond}
	status := "waiting for another program that fetches Postgres into /home/jane/.cache/lumen"
	require.NoError(t, p.waiting(status, func() error { time.Sleep(100 * time.Millisecond); return nil }))
	require.NoError(t, screen.Close())
	shown, _ := io.ReadAll(control) // ends with EIO, because the screen is closed
	require.Contains(t, string(shown), "(0 s)")
	for _, line := range strings.Split(string(shown), "\r\x1b[K") {
		require.Less(t, len(line), columns, line)
	}
}
