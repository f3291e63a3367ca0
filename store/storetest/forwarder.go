package storetest

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// Forwarder passes bytes between the service and Postgres until it is told to drop them. It then
// acts as a NAT that has lost its flows: the peers get no answer, and no connection is closed.
type Forwarder struct {
	listener net.Listener
	to       string
	running  sync.WaitGroup

	mu    sync.Mutex
	flows []*forwarded
	mute  bool // bytes of new flows are dropped, too
}

// forwarded is one connection through a Forwarder.
type forwarded struct {
	client, server net.Conn
	dropped        atomic.Bool
}

// NewForwarder returns a Forwarder from an address to another one. It ends with its test.
func NewForwarder(t testing.TB, from, to string) *Forwarder {
	t.Helper()
	listener, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	f := &Forwarder{listener: listener, to: to}
	f.running.Go(f.accept)
	t.Cleanup(f.close)
	return f
}

// Forward returns a Forwarder to the server of a connection string, and the connection string
// through it.
func Forward(t testing.TB, address string) (*Forwarder, string) {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	f := NewForwarder(t, "127.0.0.1:0", to.Host)
	to.Host, to.RawQuery = f.Address(), "sslmode=disable"
	return f, to.String()
}

// Address is where the Forwarder listens.
func (f *Forwarder) Address() string { return f.listener.Addr().String() }

// Vanish drops all bytes of the open flows. New flows pass, unless newFlows is set.
func (f *Forwarder) Vanish(newFlows bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute = newFlows
	for _, flow := range f.flows {
		flow.dropped.Store(true)
	}
}

// Pass lets new flows pass again.
func (f *Forwarder) Pass() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mute = false
}

func (f *Forwarder) accept() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", f.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		flow := &forwarded{client: client, server: server}
		f.mu.Lock()
		flow.dropped.Store(f.mute)
		f.flows = append(f.flows, flow)
		f.mu.Unlock()
		f.running.Go(func() { flow.copy(server, client) })
		f.running.Go(func() { flow.copy(client, server) })
	}
}

// copy passes bytes until either side ends. A dropped flow does not pass on its end.
func (flow *forwarded) copy(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		switch {
		case flow.dropped.Load():
			if err != nil {
				return
			}
			continue
		case n > 0:
			if _, failed := to.Write(buffer[:n]); failed != nil {
				err = failed
			}
		}
		if err != nil {
			_ = to.Close()
			return
		}
	}
}

func (f *Forwarder) close() {
	_ = f.listener.Close()
	f.mu.Lock()
	for _, flow := range f.flows {
		_, _ = flow.client.Close(), flow.server.Close()
	}
	f.mu.Unlock()
	f.running.Wait()
}
