//go:build long

package main

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	netstat "github.com/shirou/gopsutil/v4/net"
)

// slowKind is a way to be slow: the client sends or receives one byte a second.
type slowKind struct {
	name  string
	many  int
	head  string        // sent at once
	reads bool          // slow in reading, else in sending
	freed time.Duration // how long the server may keep the socket
	waits bool          // only the long form waits so long
}

// slowClients are the clients of a test. While again is true, a client connects again after the
// server has closed its connection.
type slowClients struct {
	server *server
	kinds  []slowKind

	mu     sync.Mutex
	open   map[int]*slowClient // by port
	done   []*slowClient
	again  bool
	held   []int   // the sockets held at each look
	faults []error // of failed connections
	all    sync.WaitGroup
}

type slowClient struct {
	kind   *slowKind
	conn   net.Conn
	since  time.Time
	held   time.Duration // until a look found the socket closed
	kicked chan struct{}
}

// slowKinds returns the kinds of a thousand clients.
func slowKinds(host string, m, large merchant) []slowKind {
	credential := "Authorization: Bearer " + m.key + "\r\n"
	post := "POST /api/customers HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
	query := string(encode(map[string]any{"query": pageQuery, "operationName": "Page", "variables": map[string]any{"first": 250}}))
	const header, body, idle = 5 * time.Second, 10 * time.Second, 60 * time.Second
	const list = 35 * time.Second // 30 s for a write that the client does not read, and then the fetch of a batch
	return []slowKind{
		{name: "header, with credential", many: 200, head: "GET /api/customers HTTP/1.1\r\nHost: " + host + "\r\n" + credential + "X-Slow: ", freed: header},
		{name: "header, without", many: 200, head: "GET /api/customers HTTP/1.1\r\nX-Slow: ", freed: header},
		{name: "body, with credential", many: 200, head: post + credential + "\r\n", freed: body},
		{name: "body, without", many: 200, head: post + "\r\n", freed: body},
		// The kernel buffers the whole page, so the server sees a connection without a request.
		{name: "page", many: 150, head: fmt.Sprintf("POST /graphql HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", host, len(query), credential, query),
			reads: true, freed: idle, waits: true},
		{name: "list", many: 50, head: "GET /api/customers HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + large.key + "\r\n\r\n", reads: true, freed: list, waits: true},
	}
}

// come starts the clients of the kinds for which holds returns true, spread over a time.
func (s *slowClients) come(within time.Duration, holds func(*slowKind) bool) {
	var coming []*slowKind
	for i := range s.kinds {
		if holds(&s.kinds[i]) {
			coming = append(coming, slices.Repeat([]*slowKind{&s.kinds[i]}, s.kinds[i].many)...)
		}
	}
	for i, kind := range coming {
		s.all.Go(func() {
			time.Sleep(within * time.Duration(i) / time.Duration(len(coming)))
			for first := true; first || s.comesAgain(); first = false {
				s.once(kind)
			}
		})
	}
}

func (s *slowClients) comesAgain() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.again
}

// once is one connection, until the server closes it or the client is told to leave.
func (s *slowClients) once(kind *slowKind) {
	dialer := net.Dialer{Timeout: patience, Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) { failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
		if err != nil {
			return err
		}
		return failed
	}}
	conn, err := dialer.Dial("tcp", strings.TrimPrefix(s.server.url, "http://"))
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = append(s.faults, err)
		return
	}
	defer func() { _ = conn.Close() }()
	c := &slowClient{kind: kind, conn: conn, since: time.Now(), kicked: make(chan struct{})}
	port := conn.LocalAddr().(*net.TCPAddr).Port
	s.mu.Lock()
	s.open[port] = c
	s.mu.Unlock()
	if _, err := conn.Write([]byte(kind.head)); err != nil {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	one := []byte("x")
	for {
		select {
		case <-c.kicked:
			return
		case <-tick.C:
		}
		if kind.reads {
			_, err = conn.Read(one)
		} else {
			_, err = conn.Write(one)
		}
		if err != nil { // the server has closed it, and another client may have the port by now
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.open[port] == c {
				s.letGo(port, c)
			}
			return
		}
	}
}

// letGo records that the server has closed a socket.
func (s *slowClients) letGo(port int, c *slowClient) {
	c.held = time.Since(c.since)
	s.done = append(s.done, c)
	delete(s.open, port)
	close(c.kicked)
}

// look records which sockets the server has closed, and returns how many it holds.
func (s *slowClients) look() (held int, err error) {
	sockets, err := netstat.ConnectionsPid("tcp", s.server.process.Pid)
	if err != nil {
		return 0, err
	}
	ports := make(map[int]bool, len(sockets))
	for _, socket := range sockets {
		ports[int(socket.Raddr.Port)] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for port, c := range s.open {
		switch {
		case ports[port]:
			held++
		case time.Since(c.since) > time.Second: // earlier, the server may not have accepted it yet
			s.letGo(port, c)
		}
	}
	s.held = append(s.held, held)
	return held, nil
}

// counts returns the numbers of held sockets, one for each look.
func (s *slowClients) counts() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.held)
}

// stay stops clients from connecting again.
func (s *slowClients) stay() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = false
}

// leave makes all clients disconnect.
func (s *slowClients) leave() {
	s.stay()
	s.mu.Lock()
	for port, c := range s.open {
		delete(s.open, port)
		close(c.kicked)
		_ = c.conn.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}

// left returns how many clients of the kinds for which holds returns true are connected.
func (s *slowClients) left(holds func(*slowKind) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		if holds(c.kind) {
			n++
		}
	}
	return n
}
