package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// writes records each write.
type writes struct {
	mu  sync.Mutex
	all []string
	err error
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(p))
	return len(p), w.err
}

// take returns what was written since its last call.
func (w *writes) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	w.all = nil
	return all
}

func messages(w io.Writer) slog.Handler {
	return slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.MessageKey || a.Key == "id" {
			return a
		}
		return slog.Attr{}
	}})
}

// access logs a line as observe does.
func access(log *slog.Logger, id any) {
	record := slog.NewRecord(time.Now(), slog.LevelInfo, "request", 0)
	record.AddAttrs(slog.Any("id", id))
	_ = accessHandler(log).Handle(context.Background(), record)
}

func TestAccessLogIsWrittenWithin100ms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out writes
		log := NewLog(&out, messages)
		for range 3 { // the buffer works again after a flush
			access(log, 1)
			time.Sleep(60 * time.Millisecond)
			access(log, 2)
			time.Sleep(40*time.Millisecond - time.Nanosecond)
			synctest.Wait()
			require.Empty(t, out.take())
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			require.Equal(t, []string{"msg=request id=1\nmsg=request id=2\n"}, out.take(), "100 ms after the first line")
		}
		time.Sleep(time.Hour)
		require.Empty(t, out.take())
	})
}

// Any other record is written at once, after all lines before it.
func TestOtherRecordsAreWrittenAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out writes
		log := NewLog(&out, messages)
		for _, other := range []func(string, ...any){
			log.Info, log.Warn, log.Error, log.With("a", "b").Error, log.WithGroup("g").Error,
			slog.New(outageSampler{log.Handler(), new(logSampler)}).Error,
			func(text string, _ ...any) { slog.NewLogLogger(log.Handler(), slog.LevelWarn).Print(text) },
		} {
			access(log, 1)
			access(log, 2)
			require.Empty(t, out.take())
			other("other")
			require.Equal(t, "msg=request id=1\nmsg=request id=2\nmsg=other\n", strings.Join(out.take(), ""))
			other("other")
			require.Equal(t, []string{"msg=other\n"}, out.take())
		}
	})
}

func TestFullLogBufferIsWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out writes
		log := NewLog(&out, messages)
		want := ""
		for i := range 10_000 {
			access(log, i)
			want += fmt.Sprintf("msg=request id=%d\n", i)
		}
		long := strings.Repeat("x", 2*logBufferSize)
		access(log, long)
		want += "msg=request id=" + long + "\n"
		all := out.take()
		require.Equal(t, want, strings.Join(all, ""), "a long line is written at once")
		require.Less(t, len(all), 20)
		for _, written := range all {
			require.True(t, strings.HasSuffix(written, "\n"), "lines are whole")
		}
		access(log, "last")
		time.Sleep(maxLogDelay)
		synctest.Wait()
		require.Equal(t, []string{"msg=request id=last\n"}, out.take())
	})
}

// When the writer fails, the lines that it was given are lost. The logger writes the lines after
// that.
func TestLogWritesAfterAFailedWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := writes{err: errors.New("no space left on device")}
		log := NewLog(&out, messages)
		for range 2 {
			access(log, 1)
			time.Sleep(maxLogDelay)
			synctest.Wait()
			require.Equal(t, []string{"msg=request id=1\n"}, out.take())
		}
	})
}

func TestLogUnderConcurrency(t *testing.T) {
	t.Parallel()
	var out writes
	log := NewLog(&out, messages)
	const writers, each = 8, 2000
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				if i%100 == 99 {
					log.Error("request", "id", fmt.Sprintf("%d-%d", w, i))
				} else {
					access(log, fmt.Sprintf("%d-%d", w, i))
				}
			}
		})
	}
	wait.Wait()
	endBuffering(log)
	next := make(map[string]int)
	for line := range strings.Lines(strings.Join(out.take(), "")) {
		var w, i int
		_, err := fmt.Sscanf(line, "msg=request id=%d-%d\n", &w, &i)
		require.NoError(t, err, line)
		require.Equal(t, next[fmt.Sprint(w)], i, "each writer's lines are in order")
		next[fmt.Sprint(w)]++
	}
	for w := range writers {
		require.Equal(t, each, next[fmt.Sprint(w)])
	}
}

// The panic and its stack are written at once, after the lines of earlier requests.
func TestLogIsWrittenOnAPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out writes
		log := NewLog(&out, messages)
		handler := observe(log, nil, recoverPanics(log, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/bad" {
				panic("a bug")
			}
		})))
		send := func(path string) { handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)) }
		send("/good")
		require.Empty(t, out.take())
		send("/bad")
		require.Equal(t, "msg=request\nmsg=panic\n", strings.Join(out.take(), ""))
		time.Sleep(maxLogDelay)
		synctest.Wait()
		require.Equal(t, []string{"msg=request\n"}, out.take(), "the line of the request that panicked")
	})
}

// Serve writes all lines before it returns, for whichever reason it ends. Later lines are written
// at once.
func TestLogIsWrittenWhenServeEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(net.Listener, context.CancelFunc){
		"told to stop":      func(_ net.Listener, stop context.CancelFunc) { stop() },
		"its listener ends": func(listener net.Listener, _ context.CancelFunc) { _ = listener.Close() },
	} {
		var out bytes.Buffer // while Serve runs, only Serve writes to it
		log := NewLog(&out, messages)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		health := NewHealth(func(context.Context) error { return nil }, log)
		ended := make(chan error, 1)
		go func() {
			ended <- Serve(ctx, listener, observe(log, nil, http.NotFoundHandler()), Serving{Health: health, Log: log})
		}()
		const requests = 50
		for range requests {
			ask(t, listener.Addr().String(), "/")
		}
		end(listener, stop)
		<-ended
		stop()
		require.Equal(t, requests, strings.Count(out.String(), "msg=request\n"), name)
		access(log, "late")
		require.True(t, strings.HasSuffix(out.String(), "msg=request id=late\n"), name)
	}
}
