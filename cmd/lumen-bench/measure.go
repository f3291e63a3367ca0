package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// series is one workload on one server, measured in turns with the others.
type series struct {
	Name    string   `json:"name"` // workload, slash, server
	Samples []sample `json:"samples"`

	server  *server
	next    prepare
	clients int // 0: all clients
	want    int // the customers in a reply; 0: one
}

// prove sends one request and checks the reply, so that the workload is what its name says.
func (s *series) prove(ctx context.Context) error {
	body, err := s.server.ask(s.next)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	if n := bytes.Count(body, []byte(`"email":"`)); n != max(s.want, 1) {
		return fmt.Errorf("%s: %d customers in %.300s", s.Name, n, body)
	}
	return ctx.Err()
}

// interleave measures all series round by round and reverses their order each time. So a slow
// period of the machine slows all of them.
func (b *bench) interleave(ctx context.Context, what string, all []*series) error {
	order := slices.Clone(all)
	for round := range b.Rounds {
		b.say("%s: round %d of %d", what, round+1, b.Rounds)
		for _, s := range order {
			taken, err := s.server.press(ctx, s.next, cmp.Or(s.clients, b.Clients), 0, b.Time)
			if err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			s.Samples = append(s.Samples, taken)
		}
		slices.Reverse(order)
	}
	return nil
}

// measure takes all measurements, one part after the other.
func (b *bench) measure(ctx context.Context) (*report, error) {
	r := &report{Conditions: b.conditions()}
	for _, part := range []struct {
		names   []string
		measure func(context.Context, *report) error
	}{{[]string{"reads", "writes"}, b.measureLoad}, {[]string{"list"}, b.measureList}, {[]string{"scaling"}, b.measureScaling}, {[]string{"soak"}, b.measureSoak}} {
		if !slices.ContainsFunc(part.names, b.wants) {
			continue
		}
		if err := part.measure(ctx, r); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (b *bench) wants(part string) bool { return slices.Contains(b.Parts, part) }

// measureLoad puts Lumen, the bare handler and the peer under load on the same customers.
func (b *bench) measureLoad(ctx context.Context, r *report) error {
	d, err := b.load(ctx, "main", b.Merchants, max(b.Customers/b.Merchants, 1))
	if err != nil {
		return err
	}
	if r.Start, err = b.measureStart(ctx, d); err != nil {
		return err
	}
	lumen, err := b.startLumen(ctx, d.serveURL)
	if err != nil {
		return err
	}
	defer lumen.stop()
	unnamed, err := b.startLumen(ctx, d.serveURL, "LUMEN_DATABASE_POOLER=transaction")
	if err != nil {
		return err
	}
	defer unnamed.stop()
	bare, err := b.startBare(ctx, d.superuserURL)
	if err != nil {
		return err
	}
	defer bare.stop()
	toLumen, toUnnamed, toBare := requests{lumen, d}, requests{unnamed, d}, requests{bare, d}

	reads := []*series{
		{Name: "get/bare", server: bare, next: toBare.bareGet},
		{Name: "get/rest", server: lumen, next: toLumen.get},
		{Name: "get/rest, transaction pooling", server: unnamed, next: toUnnamed.get},
		{Name: "get/graphql", server: lumen, next: toLumen.getByGraphQL},
		{Name: "page/bare", server: bare, next: toBare.barePage, want: 50},
		{Name: "page/graphql", server: lumen, next: toLumen.page(nil), want: 50},
		{Name: "one alias/graphql", server: lumen, next: toLumen.getMany(1), clients: 1},
		{Name: fmt.Sprintf("%d aliases/graphql", aliases), server: lumen, next: toLumen.getMany(aliases), clients: 1, want: aliases},
	}
	if b.Peer != "" {
		peer, err := b.startPeer(ctx, d)
		if err != nil {
			return err
		}
		defer peer.stop()
		document, err := os.ReadFile(b.PeerQuery)
		if err != nil {
			return err
		}
		toPeer := requests{peer, d}
		reads = append(reads,
			&series{Name: "get/peer", server: peer, next: toPeer.peer(string(document), "Get")},
			&series{Name: "page/peer", server: peer, next: toPeer.peer(string(document), "Page"), want: 50})
	}
	writes := func(suffix string) []*series {
		return []*series{
			{Name: "create" + suffix + "/bare", server: bare, next: toBare.bareCreate},
			{Name: "create" + suffix + "/rest", server: lumen, next: toLumen.create},
			{Name: "update" + suffix + "/bare", server: bare, next: toBare.bareUpdate},
			{Name: "update" + suffix + "/rest", server: lumen, next: toLumen.update},
		}
	}
	r.Memory.Idle = lumen.memory()
	peak := lumen.watch()
	defer func() { r.Memory.Load = peak() }()
	for _, part := range []struct {
		name   string
		series []*series
		fsync  bool
	}{{"reads", reads, true}, {"writes", writes(""), true}, {"writes", writes(", fsync off"), false}} {
		if !b.wants(part.name) || !part.fsync && b.own == nil { // a Postgres of --database-url keeps its durability
			continue
		}
		for _, s := range part.series {
			if err := s.prove(ctx); err != nil {
				return err
			}
		}
		if err := b.fsync(ctx, part.fsync); err != nil {
			return err
		}
		if err := b.interleave(ctx, part.name, part.series); err != nil {
			return err
		}
		r.Series = append(r.Series, part.series...)
	}
	return b.fsync(ctx, true)
}

// fsync turns the durability of Postgres on or off, when it is the run's own.
func (b *bench) fsync(ctx context.Context, on bool) error {
	if b.own == nil {
		return nil
	}
	set := fmt.Sprintf("ALTER SYSTEM SET fsync = %t", on)
	err := execute(ctx, b.superuserURL, set, "SELECT pg_reload_conf()", "CHECKPOINT")
	time.Sleep(100 * time.Millisecond) // until the backends have read it
	return err
}

// measureStart returns the times from exec to the first reply with a customer.
func (b *bench) measureStart(ctx context.Context, d *database) (took []time.Duration, err error) {
	for range b.Rounds {
		begun := time.Now()
		lumen, err := b.startLumen(ctx, d.serveURL)
		if err != nil {
			return nil, err
		}
		err = (&series{Name: "start", server: lumen, next: requests{lumen, d}.get}).prove(ctx)
		took = append(took, time.Since(begun))
		lumen.stop()
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}
