//go:build unix

package embedded

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

const (
	// noticeInterval is the time between two lines about the same step. A person takes a program
	// that is silent for 5 s for a hung one.
	noticeInterval = 3 * time.Second
	// statusInterval is the time between two updates of the status line on a terminal.
	statusInterval = 200 * time.Millisecond
)

// progress tells a person what Start waits for.
type progress struct {
	notice   noticeFunc
	terminal io.Writer // for a status line that is overwritten; nil where lines are notices
	interval time.Duration
}

func newProgress(notice noticeFunc) *progress {
	// A dumb terminal, such as a shell in an editor, cannot erase a line.
	if term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("TERM") != "dumb" {
		return &progress{notice, os.Stderr, statusInterval}
	}
	return &progress{notice, nil, noticeInterval}
}

// during runs a step and reports its status until it ends. The step runs in a goroutine of its own
// and must not call notice: all notices come from the caller's goroutine, as Config.Notice
// promises.
func (p *progress) during(status func() string, step func() error) error {
	done := make(chan error, 1)
	go func() { done <- step() }()
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	const eraseLine = "\r\x1b[K"
	for start := time.Now(); ; {
		select {
		case err := <-done:
			if p.terminal != nil {
				_, _ = io.WriteString(p.terminal, eraseLine)
			}
			return err
		case <-ticker.C:
			line, elapsed := status(), fmt.Sprintf(" (%.0f s)", time.Since(start).Seconds())
			if p.terminal != nil {
				_, _ = io.WriteString(p.terminal, eraseLine+p.fit(line, len(elapsed))+elapsed)
			} else {
				p.notice("%s", line+elapsed)
			}
		}
	}
}

// fit cuts a status so that it and a suffix fit on a line of the terminal. Of a longer line, which
// the terminal wraps, only the last row would be erased.
func (p *progress) fit(status string, suffix int) string {
	file, ok := p.terminal.(*os.File)
	if !ok {
		return status
	}
	columns, _, err := term.GetSize(int(file.Fd()))
	room := columns - suffix - 1 // some terminals wrap when the last column is written
	if text := []rune(status); err == nil && columns > 0 && len(text) > room {
		return string(text[:max(0, room)])
	}
	return status
}

// waiting is during for a step whose status is one text.
func (p *progress) waiting(status string, step func() error) error {
	return p.during(func() string { return status }, step)
}

// megabytes formats a number of bytes.
func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
