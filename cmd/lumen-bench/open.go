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

// generator sends requests over connections that it keeps. Its method offer is an open loop:
// requests are due whether or not those before were answered, as with clients that know nothing of
// each other. A request costs the generator a few microseconds of processor time, because it shares
// the processors with the server that it measures.
type generator struct {
	connections []*connection
}

// connection sends one request at a time, and dials again when the server has closed it.
type connection struct {
	address  string
	net      net.Conn // nil: not dialled yet
	in       *bufio.Reader
	out      *bufio.Writer
	used     time.Time
	random   *rand.Rand
	request  fasthttp.Request
	response fasthttp.Response
}

// verdict is the outcome of a request.
type verdict uint8

const (
	accepted verdict = iota // a success, without errors
	refused                 // 429 or 503, or the same code in GraphQL
	failed                  // any other reply, or none
)

// exchange is one request and its reply.
type exchange struct {
	due    time.Duration // since the offer began
	lag    time.Duration // from due until it was sent: the delay of the generator itself
	took   time.Duration // from due until it was answered
	status int
	as     verdict
	hinted bool // has Retry-After
	err    error
}

// keptIdle is how long a connection may be idle before the generator dials again. It is shorter
// than the server's idle timeout.
const keptIdle = 30 * time.Second

// patience is how long a reply may take before the request counts as failed.
const patience = 30 * time.Second

// newGenerator returns a generator with this number of connections to Lumen. It has sent a request
// on each, because the server closes a connection without a request earlier than an idle one.
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

// offer sends perSecond requests a second at random times and waits for the replies. The exchanges
// that it returns have no order.
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

// press makes clients send one request after the other, on a connection each, until the time is
// over: as many as the server can answer.
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

// exchange sends the next request, which was due at a time after begun, and reads the reply.
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

// succeeded reports whether a client would take the reply for a success.
func succeeded(status int, body []byte) bool {
	return status >= 200 && status <= 299 && !bytes.Contains(body, []byte(`"errors":[`)) && !bytes.Contains(body, []byte(`"userErrors":[{`))
}

// toldToWait reports whether GraphQL refused fields in a reply with the status of a success.
func toldToWait(body []byte) bool {
	return bytes.HasPrefix(body, []byte(`{"errors":[`)) &&
		(bytes.Contains(body, []byte(`"code":"UNAVAILABLE"`)) || bytes.Contains(body, []byte(`"code":"RATE_LIMITED"`)))
}

// outcome is the result of the requests of an offer.
type outcome struct {
	during    time.Duration
	exchanges []exchange
}

// perSecond returns the rate of the exchanges for which holds returns true.
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

// offered returns how many requests a second were sent within the time of the offer. A request that
// was sent too late, for lack of a connection or of processor time, does not count.
func (o outcome) offered() float64 {
	return o.perSecond(func(e exchange) bool { return e.due+e.lag < o.during+lateness })
}

// lateness is how late a request may be sent that was due at the very end.
const lateness = 20 * time.Millisecond

// goodput returns the number of successes a second that took no longer than a client waits.
func (o outcome) goodput(within time.Duration) float64 {
	return o.perSecond(func(e exchange) bool { return e.as == accepted && e.took <= within })
}

func (e exchange) isAccepted() bool { return e.as == accepted }
func (e exchange) isRefused() bool  { return e.as == refused }
func (e exchange) isFailed() bool   { return e.as == failed }

// quantile returns a quantile of the times of the exchanges for which holds returns true, or 0 when
// there are none.
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

// p99 returns the 99th percentile of the successes, counted from when the requests were due.
func (o outcome) p99() time.Duration {
	return o.quantile(0.99, func(e exchange) time.Duration { return e.took }, exchange.isAccepted)
}

// failures joins up to three of the errors, and returns nil when no request failed.
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
