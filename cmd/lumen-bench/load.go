package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// prepare writes one request of a workload.
type prepare func(*fasthttp.Request, *rand.Rand)

// sample is the result of one period of load on one server.
type sample struct {
	Requests  int           `json:"requests"`
	PerSecond float64       `json:"perSecond"`
	P50       time.Duration `json:"p50"`
	P95       time.Duration `json:"p95"`
	P99       time.Duration `json:"p99"`

	// CPU is the processor time of the server for one request, PostgresCPU that of Postgres. They
	// are 0 when unknown.
	CPU         time.Duration `json:"cpu"`
	PostgresCPU time.Duration `json:"postgresCpu"`
}

// quantile returns a quantile of times, of which there is at least one, sorted from the smallest.
func quantile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

// send sends a request and reads the reply. A reply that is not a success is an error.
func send(client *fasthttp.HostClient, request *fasthttp.Request, response *fasthttp.Response) error {
	if err := client.Do(request, response); err != nil {
		return err
	}
	if status, body := response.StatusCode(), response.Body(); !succeeded(status, body) {
		return fmt.Errorf("status %d: %.300s", status, body)
	}
	return nil
}

// ask sends one request on a connection of its own and returns the body of the reply.
func (s *server) ask(next prepare) ([]byte, error) {
	client, err := newClient(s.url, 1)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	request, response := new(fasthttp.Request), new(fasthttp.Response)
	next(request, rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())))
	err = send(client, request, response)
	return response.Body(), err
}

func newClient(address string, connections int) (*fasthttp.HostClient, error) {
	at, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	return &fasthttp.HostClient{
		Addr: at.Host, IsTLS: at.Scheme == "https", MaxConns: connections, ReadTimeout: time.Minute,
		MaxIdemponentCallAttempts: 1, NoDefaultUserAgentHeader: true,
	}, nil
}

// press makes clients send one request after the other until the time is over, or, when requests is
// not 0, until each client has sent that many. Every reply must be a success. The clients open
// connections, and the server prepares statements, before the measurement begins.
func (s *server) press(ctx context.Context, next prepare, clients, requests int, during time.Duration) (sample, error) {
	client, err := newClient(s.url, clients)
	if err != nil {
		return sample{}, err
	}
	defer client.CloseIdleConnections()
	run := func(requests int, during time.Duration) ([]time.Duration, error) {
		var mu sync.Mutex
		var all []time.Duration
		var failed error
		var running sync.WaitGroup
		end := time.Now().Add(during)
		for range clients {
			running.Go(func() {
				took, err := press(ctx, client, next, requests, end)
				mu.Lock()
				defer mu.Unlock()
				all, failed = append(all, took...), errors.Join(failed, err)
			})
		}
		running.Wait()
		return all, failed
	}
	if _, err := run(requests/10+1, during/10); err != nil {
		return sample{}, err
	}
	before, start := s.usage(), time.Now()
	took, err := run(requests, during)
	elapsed, after := time.Since(start), s.usage()
	if err == nil && len(took) == 0 {
		err = errors.New("no reply came in time")
	}
	if err != nil {
		return sample{}, err
	}
	slices.Sort(took)
	n := time.Duration(len(took))
	return sample{
		Requests: len(took), PerSecond: float64(n) / elapsed.Seconds(), P50: quantile(took, 0.50), P95: quantile(took, 0.95), P99: quantile(took, 0.99),
		CPU: (after.cpu - before.cpu) / n, PostgresCPU: (after.postgres - before.postgres) / n,
	}, nil
}

func press(ctx context.Context, client *fasthttp.HostClient, next prepare, requests int, end time.Time) (took []time.Duration, err error) {
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer func() { fasthttp.ReleaseRequest(request); fasthttp.ReleaseResponse(response) }()
	for ctx.Err() == nil {
		start := time.Now()
		if requests == 0 && start.After(end) || requests > 0 && len(took) == requests {
			return took, nil
		}
		request.Reset()
		next(request, random)
		if err := send(client, request, response); err != nil {
			return took, fmt.Errorf("%s %s: %w", request.Header.Method(), request.URI().Path(), err)
		}
		took = append(took, time.Since(start))
	}
	return took, ctx.Err()
}
