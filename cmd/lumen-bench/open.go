package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// generator sends requests over connections that it keeps. Offer is an open loop: a request is due when it is due, answered or
// not those before it, as with clients that know nothing of each other. It costs a few microseconds of processor time for
// a request, as it shares the processors with what it measures.
type generator struct {
	connections []*connection
}

// connection sends one request at a time, and dials again when the server has closed it.
type connection struct {
	address  string
	net      net.Conn // nil: to be dialled
	in       *bufio.Reader
	out      *bufio.Writer
	used     time.Time
	random   *rand.Rand
	request  fasthttp.Request
	response fasthttp.Response
}

// verdict is what became of a request.
type verdict uint8

const (
	accepted verdict = iota // a success, without errors
	refused                 // 429 or 503, or what says the same in GraphQL
	failed                  // all else
)

// exchange is one request and its reply.
type exchange struct {
	due    time.Duration // since the offer began
	lag    time.Duration // from due until it was sent: what the generator itself was late
	took   time.Duration // from due until it was answered
	status int
	as     verdict
	hinted bool // has Retry-After
	err    error
}

// keptIdle is how long a connection may rest before it is dialled anew: less than the server's patience.
const keptIdle = 30 * time.Second

// patience is how long a reply may take; beyond, the request has failed.
const patience = 30 * time.Second

// newGenerator returns one with so many connections to Lumen, over each of which a request was sent: a server is patient with
// connections that rest, not with those that never said anything.
func newGenerator(s *server, connections int) (*generator, error) {
	at, err := url.Parse(s.url)
	if err != nil {
		return nil, err
	}
	g := new(generator)
	for range connections {
		c := &connection{address: at.Host, random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
		g.connections = append(g.connections, c)
	}
	first := g.run(g.connections, func(c *connection) []exchange {
		return []exchange{c.exchange(requests{server: s}.alive, time.Now(), 0)}
	})
	if err := (outcome{exchanges: first}).failures(); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *generator) close() {
	for _, c := range g.connections {
		c.hangUp()
	}
}

// offer sends so many requests per second, at random times, and waits for the replies. What it returns is in no order.
func (g *generator) offer(ctx context.Context, next prepare, perSecond float64, during time.Duration) outcome {
	times := make([]time.Duration, int(perSecond*during.Seconds()))
	for i := range times {
		times[i] = rand.N(during)
	}
	slices.Sort(times)
	due := make(chan time.Duration, len(times))
	begun := time.Now()
	go func() {
		defer close(due)
		for _, at := range times {
			for time.Since(begun) < at && ctx.Err() == nil {
				time.Sleep(min(time.Until(begun.Add(at)), time.Millisecond))
			}
			if ctx.Err() != nil {
				return
			}
			due <- at
		}
	}()
	return outcome{during, g.run(g.connections, func(c *connection) (all []exchange) {
		for at := range due {
			all = append(all, c.exchange(next, begun, at))
		}
		return all
	})}
}

// press has so many of the connections send one request after the other until the time is over: as much as the server
// can answer.
func (g *generator) press(ctx context.Context, next prepare, clients int, during time.Duration) outcome {
	begun := time.Now()
	return outcome{during, g.run(g.connections[:clients], func(c *connection) (all []exchange) {
		for at := time.Since(begun); at < during && ctx.Err() == nil; at = time.Since(begun) {
			all = append(all, c.exchange(next, begun, at))
		}
		return all
	})}
}

func (g *generator) run(connections []*connection, work func(*connection) []exchange) []exchange {
	each := make([][]exchange, len(connections))
	var running sync.WaitGroup
	for i, c := range connections {
		running.Go(func() { each[i] = work(c) })
	}
	running.Wait()
	return slices.Concat(each...)
}

// exchange sends the next request, which was due a time after begun, and reads the reply.
func (c *connection) exchange(next prepare, begun time.Time, due time.Duration) exchange {
	e := exchange{due: due, as: failed}
	c.request.Reset()
	next(&c.request, c.random)
	e.lag = time.Since(begun) - due
	e.err = c.roundTrip()
	c.used = time.Now()
	e.took = c.used.Sub(begun) - due
	if e.err != nil {
		e.err = fmt.Errorf("%s %s: %w", c.request.Header.Method(), c.request.URI().Path(), e.err)
		c.hangUp()
		return e
	}
	e.status = c.response.StatusCode()
	e.hinted = len(c.response.Header.Peek("Retry-After")) > 0
	if c.response.ConnectionClose() {
		c.hangUp()
	}
	switch body := c.response.Body(); {
	case e.status == fasthttp.StatusTooManyRequests, e.status == fasthttp.StatusServiceUnavailable, e.status == fasthttp.StatusOK && toldToWait(body):
		e.as = refused
	case succeeded(e.status, body):
		e.as = accepted
	default:
		e.err = fmt.Errorf("%s %s: status %d: %.300s", c.request.Header.Method(), c.request.URI().Path(), e.status, body)
	}
	return e
}

func (c *connection) roundTrip() error {
	if c.net != nil && time.Since(c.used) > keptIdle {
		c.hangUp()
	}
	if c.net == nil {
		if err := c.dial(); err != nil {
			return err
		}
	}
	if err := c.net.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := c.request.Write(c.out); err != nil {
		return err
	}
	if err := c.out.Flush(); err != nil {
		return err
	}
	return c.response.Read(c.in)
}

func (c *connection) dial() (err error) {
	if c.net, err = net.DialTimeout("tcp", c.address, patience); err != nil {
		return err
	}
	c.in, c.out, c.used = bufio.NewReader(c.net), bufio.NewWriter(c.net), time.Now()
	return nil
}

func (c *connection) hangUp() {
	if c.net != nil {
		_ = c.net.Close()
		c.net = nil
	}
}

// succeeded tells whether a reply is a success as the customer's program would see it.
func succeeded(status int, body []byte) bool {
	return status >= 200 && status <= 299 && !bytes.Contains(body, []byte(`"errors":[`)) && !bytes.Contains(body, []byte(`"userErrors":[{`))
}

// toldToWait tells whether GraphQL refused fields, in a reply that is a success to HTTP.
func toldToWait(body []byte) bool {
	return bytes.HasPrefix(body, []byte(`{"errors":[`)) &&
		(bytes.Contains(body, []byte(`"code":"UNAVAILABLE"`)) || bytes.Contains(body, []byte(`"code":"RATE_LIMITED"`)))
}

// outcome is what became of the requests of an offer.
type outcome struct {
	during    time.Duration
	exchanges []exchange
}

// perSecond is the rate of those that hold.
func (o outcome) perSecond(holds func(exchange) bool) float64 {
	return float64(o.count(holds)) / o.during.Seconds()
}

func (o outcome) count(holds func(exchange) bool) (n int) {
	for _, e := range o.exchanges {
		if holds(e) {
			n++
		}
	}
	return n
}

// offered is how many requests were sent per second, within the time of the offer: one that was written too late, for want of
// a connection or of processor time, was not offered.
func (o outcome) offered() float64 {
	return o.perSecond(func(e exchange) bool { return e.due+e.lag < o.during+lateness })
}

// lateness is how late a request that was due at the very end may be.
const lateness = 20 * time.Millisecond

// goodput is how many successes per second there were that took no longer than a client waits.
func (o outcome) goodput(within time.Duration) float64 {
	return o.perSecond(func(e exchange) bool { return e.as == accepted && e.took <= within })
}

func (e exchange) isAccepted() bool { return e.as == accepted }
func (e exchange) isRefused() bool  { return e.as == refused }
func (e exchange) isFailed() bool   { return e.as == failed }

// quantile is that of the times of those that hold, 0 when there are none.
func (o outcome) quantile(share float64, of func(exchange) time.Duration, holds func(exchange) bool) time.Duration {
	var all []time.Duration
	for _, e := range o.exchanges {
		if holds(e) {
			all = append(all, of(e))
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return quantile(all, share)
}

// p99 is that of the successes, as their clients saw it: from when the request was due.
func (o outcome) p99() time.Duration {
	return o.quantile(0.99, func(e exchange) time.Duration { return e.took }, exchange.isAccepted)
}

// failures joins some of what failed; nil when nothing did.
func (o outcome) failures() error {
	var all []error
	for _, e := range o.exchanges {
		if e.as == failed {
			all = append(all, e.err)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d failed: %w", len(all), len(o.exchanges), errors.Join(all[:min(len(all), 3)]...))
}
