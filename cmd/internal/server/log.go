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
	// maxLogDelay is how long a line of the access log may wait before it is written.
	maxLogDelay = 100 * time.Millisecond
	// logBufferSize is how many octets of lines are collected for one write.
	logBufferSize = 32 << 10
)

// NewLog returns a logger whose records have the ids of the request and the trace that they were
// logged for. format makes the handler that writes them, such as slog.NewJSONHandler.
//
// The logger collects the lines of the access log for up to 100 ms, because a write costs more than
// a line. It writes any other record at once, after the lines before it. Serve writes the remaining
// lines when it ends, and each later line at once. So only a process that is killed loses lines, at
// most those of its last 100 ms.
func NewLog(to io.Writer, format func(io.Writer) slog.Handler) *slog.Logger {
	buffer := &logBuffer{to: to}
	return slog.New(logHandler{WithRequestID(format(buffer)), buffer})
}

// logHandler writes each record at once. The handler inside of it only appends the record to the
// buffer.
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

// accessHandler returns the handler for the lines of the access log.
func accessHandler(log *slog.Logger) slog.Handler {
	if h, ok := log.Handler().(logHandler); ok {
		return h.Handler
	}
	return log.Handler()
}

// endBuffering writes the lines that a logger has collected and makes it write each later line at
// once.
func endBuffering(log *slog.Logger) {
	if h, ok := log.Handler().(logHandler); ok {
		h.buffer.end()
	}
}

// accessLog writes the line of each request.
type accessLog struct {
	handler  slog.Handler
	refusals logSampler

	mu      sync.RWMutex
	results map[result]slog.Handler
}

// result holds the first attributes of a line. Their values are from closed sets, so there are few
// results. One handler for each result formats these attributes once.
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
	// The record has no PC. A Logger would ask the runtime for one, and no line shows it.
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

// logBuffer collects lines. Each Write is one or more whole lines.
type logBuffer struct {
	to io.Writer

	mu    sync.Mutex
	lines []byte
	timed bool // a timer will write the lines
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

// write writes the lines. It drops lines that cannot be written, as slog ignores the errors of its
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
