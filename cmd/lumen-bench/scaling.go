package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/valyala/fasthttp"
)

// curve is the median latency of one workload, with one client, by size.
type curve struct {
	Name   string  `json:"name"`
	Points []point `json:"points"`
}

type point struct {
	Size    int             `json:"size"`
	Medians []time.Duration `json:"medians"` // of each round

	server *server
	next   prepare
}

// spread returns the largest point divided by the smallest.
func (c curve) spread() float64 {
	var all []time.Duration
	for _, p := range c.Points {
		all = append(all, median(p.Medians))
	}
	return float64(slices.Max(all)) / float64(slices.Min(all))
}

// crowd is how many customers each merchant has where the number of merchants varies.
const crowd = 100

// measureScaling measures the latency of one client in databases of different sizes, in turns.
func (b *bench) measureScaling(ctx context.Context, r *report) error {
	var sizes, crowds []*scaled
	defer func() {
		for _, s := range slices.Concat(sizes, crowds) {
			s.server.stop()
		}
	}()
	open := func(all *[]*scaled, size, merchants, customers int) error {
		d, err := b.load(ctx, fmt.Sprintf("%dx%d", merchants, customers), merchants, customers)
		if err != nil {
			return err
		}
		lumen, err := b.startLumen(ctx, d.serveURL)
		if err == nil {
			*all = append(*all, &scaled{size, lumen, d})
		}
		return err
	}
	for _, n := range b.Sizes {
		if err := open(&sizes, n, 1, n); err != nil {
			return err
		}
	}
	for _, n := range b.Crowds {
		if err := open(&crowds, n, n, crowd); err != nil {
			return err
		}
	}
	var err error
	if r.Sizes, err = b.curves(ctx, "customers of one merchant", sizes, false); err != nil {
		return err
	}
	if r.Crowds, err = b.curves(ctx, "merchants", crowds, true); err != nil {
		return err
	}
	if len(sizes) > 0 {
		r.LongList, err = b.receiveLists(ctx, sizes[len(sizes)-1].of)
	}
	return err
}

// scaled is Lumen on a database of some size.
type scaled struct {
	size   int
	server *server
	of     *database
}

// curves measures the workloads at each size. In a database of many merchants only ten of them send
// requests. A separate workload sends requests of all merchants.
func (b *bench) curves(ctx context.Context, what string, at []*scaled, many bool) ([]curve, error) {
	if len(at) == 0 {
		return nil, nil
	}
	names := []string{"by id", "first page", "page at 90 % depth", "create"}
	if many {
		names = append(names, "by id, of all merchants")
	}
	curves := make([]curve, len(names))
	for _, s := range at {
		few := *s.of
		few.merchants = few.merchants[:min(10, len(few.merchants))]
		after := make(map[string]string)
		for _, m := range few.merchants {
			cursor, err := s.cursor(m)
			if err != nil {
				return nil, err
			}
			after[m.id] = cursor
		}
		to := requests{s.server, &few}
		workloads := []prepare{to.get, to.page(nil), to.page(after), to.create, requests{s.server, s.of}.get}
		for w, name := range names {
			curves[w].Name = name
			curves[w].Points = append(curves[w].Points, point{Size: s.size, server: s.server, next: workloads[w]})
		}
	}
	for round := range b.Rounds {
		b.say("%s: round %d of %d", what, round+1, b.Rounds)
		for _, c := range curves {
			for i := range c.Points {
				p := &c.Points[i]
				taken, err := p.server.press(ctx, p.next, 1, b.Requests, 0)
				if err != nil {
					return nil, fmt.Errorf("%s, %d %s: %w", c.Name, p.Size, what, err)
				}
				p.Medians = append(p.Medians, taken.P50)
			}
		}
	}
	return curves, nil
}

// cursor returns the cursor of the customer after nine tenths of a merchant's list, which starts
// with the newest.
func (s *scaled) cursor(m merchant) (string, error) {
	const query = `query Find($before: DateTime!) { customers(first: 1, filter: { createdAt: { before: $before } }) { pageInfo { endCursor } } }`
	before := firstCreated.Add(time.Duration(m.customers/10+2) * time.Second)
	find := operation(query, "Find")(variable("before", before.Format(time.RFC3339)))
	body, err := s.server.ask(func(r *fasthttp.Request, _ *rand.Rand) {
		requests{s.server, s.of}.lumen(r, m, "POST", "/graphql", find)
	})
	if err != nil {
		return "", err
	}
	var found struct {
		Data struct {
			Customers struct{ PageInfo struct{ EndCursor string } }
		}
	}
	err = json.Unmarshal(body, &found)
	return found.Data.Customers.PageInfo.EndCursor, err
}
