package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"lumen/store"
)

// maxLoggedPerSecond is how many refusals a second have a line in the log. Further ones, which only
// a flood brings, are counted. Writing a line takes as long as the rest of a refusal, and the
// requests that are served need this time more.
const maxLoggedPerSecond = 100

// logSampler decides which refusals are logged.
type logSampler struct {
	mu              sync.Mutex
	second          int64
	logged, skipped int // logged in this second; skipped since the last logged one
}

// next reports whether a refusal is logged, and if so, how many before it were not.
func (s *logSampler) next(now time.Time) (logged bool, skipped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := now.Unix(); second != s.second {
		s.second, s.logged = second, 0
	}
	if s.logged == maxLoggedPerSecond {
		s.skipped++
		return false, 0
	}
	s.logged++
	skipped, s.skipped = s.skipped, 0
	return true, skipped
}

// outageSampler passes on the records of a log. It limits records about the cause of Unavailable to
// the same number a second as refusals, because while the database is down every request has such a
// cause.
type outageSampler struct {
	slog.Handler
	causes *logSampler
}

func (h outageSampler) Handle(ctx context.Context, record slog.Record) error {
	outage := false
	record.Attrs(func(a slog.Attr) bool {
		outage = a.Key == "code" && a.Value.Any() == store.Unavailable
		return !outage
	})
	if outage {
		logged, skipped := h.causes.next(record.Time)
		if !logged {
			return nil
		}
		record.AddAttrs(slog.Int("unlogged", skipped))
	}
	return h.Handler.Handle(ctx, record)
}

func (h outageSampler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return outageSampler{h.Handler.WithAttrs(attrs), h.causes}
}

func (h outageSampler) WithGroup(name string) slog.Handler {
	return outageSampler{h.Handler.WithGroup(name), h.causes}
}

// connectionSampler passes on what net/http reports about connections, limited to the same number a
// second as refusals. A client can violate HTTP/2 on as many connections as it opens.
type connectionSampler struct {
	slog.Handler
	reports *logSampler
}

func (h connectionSampler) Handle(ctx context.Context, record slog.Record) error {
	logged, skipped := h.reports.next(record.Time)
	if !logged {
		return nil
	}
	if skipped > 0 {
		record.AddAttrs(slog.Int("unlogged", skipped))
	}
	return h.Handler.Handle(ctx, record)
}
