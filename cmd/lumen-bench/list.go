package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// listed is the cost of receiving one whole list.
type listed struct {
	Customers int           `json:"customers"`
	FirstByte time.Duration `json:"firstByte"`
	Time      time.Duration `json:"time"`
	Bytes     int64         `json:"bytes"`
	Growth    uint64        `json:"memoryGrowth"` // of the server, in octets
}

// lists are the measurements of lists of one size.
type lists struct {
	Lumen []listed `json:"lumen"`
	Bare  []listed `json:"bare"`
}

// measureList makes one client receive the whole list of one merchant, from Lumen and from the bare
// handler in turns.
func (b *bench) measureList(ctx context.Context, r *report) error {
	d, err := b.load(ctx, "list", 1, b.Customers)
	if err != nil {
		return err
	}
	r.List, err = b.receiveLists(ctx, d)
	return err
}

func (b *bench) receiveLists(ctx context.Context, d *database) (all lists, err error) {
	lumen, err := b.startLumen(ctx, d.serveURL)
	if err != nil {
		return all, err
	}
	defer lumen.stop()
	bare, err := b.startBare(ctx, d.superuserURL)
	if err != nil {
		return all, err
	}
	defer bare.stop()
	m := d.merchants[0]
	turns := []func() error{
		func() error { return lumen.receive(ctx, "/api/customers", m, &all.Lumen) },
		func() error { return bare.receive(ctx, "/"+m.id+"/customers", m, &all.Bare) },
	}
	for round := range b.Rounds {
		b.say("list of %d: round %d of %d", m.customers, round+1, b.Rounds)
		for _, receive := range turns {
			if err := receive(); err != nil {
				return all, err
			}
		}
		slices.Reverse(turns)
	}
	return all, nil
}

// receive reads a list to its end, counts the customers in it, and records the cost.
func (s *server) receive(ctx context.Context, path string, m merchant, to *[]listed) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+m.key)
	request.Header.Set("Accept-Encoding", "identity")
	before, peak := s.memory(), s.watch()
	defer peak()
	begun := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	var got listed
	// The client counts objects and parses nothing, so that it uses little processor time.
	objects, buffer := 0, make([]byte, 64<<10)
	for {
		n, err := response.Body.Read(buffer)
		if got.Bytes == 0 && n > 0 {
			got.FirstByte = time.Since(begun)
		}
		got.Bytes += int64(n)
		objects += bytes.Count(buffer[:n], []byte("{"))
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	got.Time, got.Customers = time.Since(begun), objects-1 // without the object around the list
	if top := peak(); top > before {
		got.Growth = top - before
	}
	if response.StatusCode != http.StatusOK || got.Customers < m.customers { // more when some were created meanwhile
		return fmt.Errorf("%s: status %d, %d customers of %d", path, response.StatusCode, got.Customers, m.customers)
	}
	*to = append(*to, got)
	return nil
}
