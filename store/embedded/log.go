//go:build unix

package embedded

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxLog is the size at which a start puts the log aside; the one put aside before is dropped.
const maxLog = 16 << 20

// serverLog is the file that initdb and Postgres write to.
type serverLog struct {
	*os.File
	path string
	from int64 // where the latest command began to write
}

func (f *folder) openLog() (*serverLog, error) {
	path := filepath.Join(f.path, logName)
	if info, err := os.Lstat(path); err == nil && info.Size() > maxLog {
		_ = os.Rename(path, path+".1")
	}
	file, err := f.openFile(logName, os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &serverLog{File: file, path: path}, nil
}

// mark remembers that what comes from here on is the next command's.
func (l *serverLog) mark() {
	if info, err := l.Stat(); err == nil {
		l.from = info.Size()
	}
}

// tail returns the last lines since the mark, each indented on a line of its own, to be appended to an error.
func (l *serverLog) tail() string {
	const lines, size = 12, 8 << 10
	info, err := l.Stat()
	if err != nil {
		return ""
	}
	from := max(l.from, info.Size()-size)
	text, err := io.ReadAll(io.NewSectionReader(l.File, from, info.Size()-from))
	if err != nil || len(strings.TrimSpace(string(text))) == 0 {
		return ""
	}
	last := strings.Split(strings.TrimSpace(string(text)), "\n")
	last = last[max(0, len(last)-lines):]
	return "; the end of " + l.path + ":\n\t" + strings.Join(last, "\n\t")
}
