//go:build unix

package embedded

import (
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxLog is the size in bytes at which a start renames the log. The log that was renamed before is
// deleted.
const maxLog = 16 << 20

// serverLog is the file to which initdb and Postgres write.
type serverLog struct {
	*os.File
	path string
	from int64 // the offset at which the latest command began to write
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

// mark notes where the output of the next command begins.
func (l *serverLog) mark() {
	if info, err := l.Stat(); err == nil {
		l.from = info.Size()
	}
}

// tail returns the last lines since the mark, to append to an error. Each is indented, on a line of
// its own.
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
