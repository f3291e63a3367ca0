package program

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"lumen/cmd/internal/pages"
	"lumen/cmd/internal/server"
)

// logHandler returns the handler of dev's log: short lines for a person at a terminal, else slog's
// text.
func (c devCommand) logHandler(t terminal, merchants []pages.Merchant) slog.Handler {
	if !isTerminal(t.err) {
		return server.WithRequestID(slog.NewTextHandler(t.err, nil))
	}
	names := make(map[string]string)
	for _, m := range merchants {
		names[m.ID] = m.Name
	}
	return console{mu: new(sync.Mutex), to: t.err, names: names}
}

// console is a slog.Handler that writes each record as a short line for a person. The line of a
// request is
//
//	15:04:05 GET /api/customers/{id} 404 NOT_FOUND 1.2ms Demo Shop
//
// The line of any other record is its level, its message and its attributes.
type console struct {
	mu    *sync.Mutex // of to
	to    io.Writer
	names map[string]string // of merchants, by ID
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (c console) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// WithAttrs implements slog.Handler.
func (c console) WithAttrs(attrs []slog.Attr) slog.Handler {
	c.attrs = append(c.attrs[:len(c.attrs):len(c.attrs)], attrs...)
	return c
}

// WithGroup implements slog.Handler. The server's log has no groups.
func (c console) WithGroup(string) slog.Handler { return c }

// Handle implements slog.Handler.
func (c console) Handle(_ context.Context, record slog.Record) error {
	attrs := c.attrs[:len(c.attrs):len(c.attrs)]
	record.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	words := []string{record.Time.Format(time.TimeOnly)}
	if record.Message == "request" {
		words = append(words, c.request(attrs)...)
	} else {
		if record.Level != slog.LevelInfo {
			words = append(words, record.Level.String())
		}
		words = append(words, record.Message)
		for _, a := range attrs {
			words = append(words, a.String())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := fmt.Fprintln(c.to, strings.Join(words, " "))
	return err
}

// request returns the words of a request's line.
func (c console) request(attrs []slog.Attr) (words []string) {
	value := make(map[string]string, len(attrs))
	for _, a := range attrs {
		value[a.Key] = a.Value.String()
	}
	duration, _ := time.ParseDuration(value["duration_ms"] + "ms")
	words = []string{value["method"], value["route"]}
	if value["route"] == "/graphql" {
		words = append(words, value["operation"])
	}
	words = append(words, value["status"])
	if value["code"] != "OK" {
		words = append(words, value["code"])
	}
	words = append(words, duration.Round(100*time.Microsecond).String(), cmp.Or(c.names[value["merchant"]], value["merchant"]))
	if value["aborted"] == "true" {
		words = append(words, "aborted")
	}
	return slices.DeleteFunc(words, func(word string) bool { return word == "" })
}
