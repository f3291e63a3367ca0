package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"lumen/store"
)

// singly is how many refusals a second are logged one by one. What a flood brings beyond is only counted: a line takes as long
// to write as the rest of a refusal, and that time is better spent on those who are served.
const singly = 100

// thin says which refusals are logged.
type thin struct {
	mu           sync.Mutex
	second       int64
	said, unsaid int
}

// next reports whether a refusal is logged, and if so, how many before it were not.
func (t *thin) next(now time.Time) (logged bool, before int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if second := now.Unix(); second != t.second {
		t.second, t.said = second, 0
	}
	if t.said == singly {
		t.unsaid++
		return false, 0
	}
	t.said++
	before, t.unsaid = t.unsaid, 0
	return true, before
}

// thinOutages passes on a log's records, but of the causes of Unavailable no more a second than of refusals: where the database
// is away, every request has one.
type thinOutages struct {
	slog.Handler
	causes *thin
}

func (h thinOutages) Handle(ctx context.Context, record slog.Record) error {
	outage := false
	record.Attrs(func(a slog.Attr) bool {
		outage = a.Key == "code" && a.Value.Any() == store.Unavailable
		return !outage
	})
	if outage {
		logged, before := h.causes.next(record.Time)
		if !logged {
			return nil
		}
		record.AddAttrs(slog.Int("unlogged", before))
	}
	return h.Handler.Handle(ctx, record)
}

func (h thinOutages) WithAttrs(attrs []slog.Attr) slog.Handler {
	return thinOutages{h.Handler.WithAttrs(attrs), h.causes}
}

func (h thinOutages) WithGroup(name string) slog.Handler {
	return thinOutages{h.Handler.WithGroup(name), h.causes}
}
