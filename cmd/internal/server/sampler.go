package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"lumen/store"
)

// maxLoggedPerSecond is how many refusals a second are logged one by one. Those beyond, which a
// flood brings, are only counted: writing a line takes as long as the rest of a refusal, and that
// time is better spent on the requests that are served.
const maxLoggedPerSecond = 100

// logSampler decides which refusals are logged.
type logSampler struct {
	mu              sync.Mutex
	second          int64
	logged, skipped int // in that second; since the last one that was logged
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

// outageSampler passes on a log's records. Of the causes of Unavailable it passes on no more a
// second than of refusals: while the database is away, every request has one.
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

// connectionSampler passes on what net/http reports of connections, no more a second than of
// refusals: a client can break the rules of HTTP/2 on as many connections as it opens.
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
