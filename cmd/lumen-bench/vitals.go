package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// vitals are the quantities of a server at one moment: octets of memory, and counts.
type vitals struct {
	At          time.Duration `json:"at"` // since the first
	Resident    float64       `json:"resident"`
	Heap        float64       `json:"heap"` // the size at which it is collected, a multiple of the live heap
	Goroutines  float64       `json:"goroutines"`
	Files       float64       `json:"files"`       // open descriptors
	Connections float64       `json:"connections"` // to Postgres, by its own count
}

// monitor reads the vitals of a server that has a private listener.
type monitor struct {
	url      string
	database *pgx.Conn
	role     string
	begun    time.Time
}

// startWatched runs `lumen serve` as startLumen does, with a private listener, and returns the
// monitor that reads it.
func (b *bench) startWatched(ctx context.Context, d *database, environment ...string) (*server, *monitor, error) {
	s, err := b.startLumen(ctx, d.serveURL, append(environment, "LUMEN_PRIVATE_ADDR=127.0.0.1:0")...)
	if err != nil {
		return nil, nil, err
	}
	m := &monitor{url: s.private + "/metrics", role: b.serveRole(), begun: time.Now()}
	if m.database, err = pgx.Connect(ctx, d.superuserURL); err != nil {
		s.stop()
		return nil, nil, err
	}
	stop := s.stop
	s.stop = func() {
		_ = m.database.Close(context.WithoutCancel(ctx))
		stop()
	}
	return s, m, nil
}

// read returns the current vitals.
func (m *monitor) read(ctx context.Context) (vitals, error) {
	v := vitals{At: time.Since(m.begun)}
	wanted := map[string]*float64{
		"process_resident_memory_bytes": &v.Resident, "go_memstats_next_gc_bytes": &v.Heap,
		"go_goroutines": &v.Goroutines, "process_open_fds": &v.Files,
	}
	if err := m.metrics(ctx, wanted); err != nil {
		return v, err
	}
	var connections int
	err := m.database.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND datname = current_database()", m.role).Scan(&connections)
	v.Connections = float64(connections)
	return v, err
}

// metrics reads the wanted metrics, all of which have to exist.
func (m *monitor) metrics(ctx context.Context, wanted map[string]*float64) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	found := 0
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if to, ok := wanted[name]; ok {
			if *to, err = strconv.ParseFloat(value, 64); err != nil {
				return fmt.Errorf("metric %s: %w", name, err)
			}
			found++
		}
	}
	if found != len(wanted) {
		return fmt.Errorf("%s has %d of %d metrics (status %d)", m.url, found, len(wanted), response.StatusCode)
	}
	return lines.Err()
}

// follow reads the vitals again and again until stop is called, which returns them.
func (m *monitor) follow(ctx context.Context, every time.Duration) (stop func() ([]vitals, error)) {
	ctx, cancel := context.WithCancel(ctx)
	var all []vitals
	var failed error
	var following sync.WaitGroup
	following.Go(func() {
		for tick := time.Tick(every); failed == nil; {
			select {
			case <-ctx.Done():
				return
			case <-tick:
			}
			if v, err := m.read(ctx); err == nil {
				all = append(all, v)
			} else if ctx.Err() == nil {
				failed = err
			}
		}
	})
	return func() ([]vitals, error) {
		cancel()
		following.Wait()
		return all, failed
	}
}
