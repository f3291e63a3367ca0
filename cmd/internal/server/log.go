package server

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"lumen/store"
)

const (
	// maxLogDelay is how long a line of the access log may wait until it is written.
	maxLogDelay = 100 * time.Millisecond
	// logBufferSize is how many octets of lines are collected for one write.
	logBufferSize = 32 << 10
)

// NewLog returns a logger whose records carry the id of the request that they were logged for, and
// of its trace. format makes the handler that writes them, such as slog.NewJSONHandler.
//
// The lines of the access log are collected for up to 100 ms, as a write costs more than the line.
// Any other record is written at once, after the lines before it. Serve writes what is left when it
// ends, and the lines after that at once. So only a process that is killed loses lines, and 100 ms
// of them at most.
func NewLog(to io.Writer, format func(io.Writer) slog.Handler) *slog.Logger {
	buffer := &logBuffer{to: to}
	return slog.New(logHandler{WithRequestID(format(buffer)), buffer})
}

// logHandler writes each record at once. Its own handler only adds the record to the buffer.
type logHandler struct {
	slog.Handler
	buffer *logBuffer
}

func (h logHandler) Handle(ctx context.Context, record slog.Record) error {
	err := h.Handler.Handle(ctx, record)
	h.buffer.flush()
	return err
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logHandler{h.Handler.WithAttrs(attrs), h.buffer}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name), h.buffer}
}

// accessHandler returns what the lines of the access log are given to.
func accessHandler(log *slog.Logger) slog.Handler {
	if h, ok := log.Handler().(logHandler); ok {
		return h.Handler
	}
	return log.Handler()
}

// endBuffering writes the lines that a log has collected, and has it collect no more.
func endBuffering(log *slog.Logger) {
	if h, ok := log.Handler().(logHandler); ok {
		h.buffer.end()
	}
}

// accessLog writes the line of a request.
type accessLog struct {
	handler  slog.Handler
	refusals logSampler

	mu      sync.RWMutex
	results map[result]slog.Handler
}

// result is what a line begins with. The values are from closed sets, so there are few results, and
// a handler for each has these attributes formatted once.
type result struct {
	method, route, operation string
	code                     store.Code
	status                   int
	aborted                  bool
}

func newAccessLog(log *slog.Logger) *accessLog {
	return &accessLog{handler: accessHandler(log), results: make(map[result]slog.Handler)}
}

func (l *accessLog) write(ctx context.Context, info *requestInfo, method, route string, start, end time.Time) {
	code, skipped := info.outcome(), 0
	refused := code == store.RateLimited || code == store.Unavailable
	if refused {
		var logged bool
		if logged, skipped = l.refusals.next(start); !logged {
			return
		}
	}
	if !l.handler.Enabled(ctx, slog.LevelInfo) {
		return
	}
	// Without a PC, which a Logger asks the runtime for and which no line has.
	record := slog.NewRecord(end, slog.LevelInfo, "request", 0)
	record.AddAttrs(
		slog.Float64("duration_ms", float64(end.Sub(start).Microseconds())/1000),
		slog.String("merchant", info.merchant), slog.String("key", info.key),
	)
	if info.row != "" {
		record.AddAttrs(slog.String(info.noun, info.row))
	}
	if refused {
		record.AddAttrs(slog.Int("unlogged", skipped))
	}
	_ = l.handlerOf(result{method, route, info.operation, code, info.status, info.aborted}).Handle(ctx, record)
}

func (l *accessLog) handlerOf(r result) slog.Handler {
	l.mu.RLock()
	handler, ok := l.results[r]
	l.mu.RUnlock()
	if ok {
		return handler
	}
	handler = l.handler.WithAttrs([]slog.Attr{
		slog.String("method", r.method), slog.String("route", r.route), slog.String("operation", r.operation),
		slog.String("code", string(r.code)), slog.Int("status", r.status), slog.Bool("aborted", r.aborted),
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results[r] = handler
	return handler
}

// logBuffer collects lines. Each Write is one line, or several.
type logBuffer struct {
	to io.Writer

	mu    sync.Mutex
	lines []byte
	timed bool // a flush is due
	ended bool
}

// Write implements io.Writer.
func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines)+len(line) > logBufferSize {
		b.write()
	}
	if b.lines == nil {
		b.lines = make([]byte, 0, logBufferSize)
	}
	b.lines = append(b.lines, line...)
	if b.ended || len(b.lines) > logBufferSize {
		b.write()
	} else if !b.timed {
		b.timed = true
		time.AfterFunc(maxLogDelay, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.timed = false
			b.write()
		})
	}
	return len(line), nil
}

// write writes the lines. Those that can't be written are dropped, as slog drops the errors of its
// writer.
func (b *logBuffer) write() {
	if len(b.lines) > 0 {
		_, _ = b.to.Write(b.lines)
		b.lines = b.lines[:0]
	}
}

func (b *logBuffer) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.write()
}

func (b *logBuffer) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.write()
}
