package server

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// sendBuffer is how much of a reply the kernel is asked to take of one connection, in octets. Left to
// itself it takes megabytes: of a list that nobody reads, all of which had to be fetched.
const sendBuffer = 256 << 10

// boundedListener accepts boundedConns.
type boundedListener struct{ net.Listener }

// Accept implements net.Listener.
func (l boundedListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp := accepted.(*net.TCPConn)
	_ = tcp.SetWriteBuffer(sendBuffer)
	return &boundedConn{TCPConn: tcp}, nil
}

// boundedConn gives each frame of HTTP/2 writeTime to be taken by the client. net/http's own
// deadlines for HTTP/2 are those of streams: they reset the stream, and the reset itself waits where
// the client reads little of the connection. (HTTP2Config.WriteByteTimeout would begin again with
// each octet that is read.)
type boundedConn struct {
	*net.TCPConn
	isHTTP2 atomic.Bool
}

// SetWriteDeadline implements net.Conn. net/http takes the deadline away for HTTP/2, and for HTTP/1.1 after a
// reply, before whose successor it sets another where the server has one.
func (c *boundedConn) SetWriteDeadline(t time.Time) error {
	c.isHTTP2.Store(t.IsZero())
	return c.TCPConn.SetWriteDeadline(t)
}

// Write implements io.Writer.
func (c *boundedConn) Write(frame []byte) (int, error) {
	if c.isHTTP2.Load() {
		_ = c.TCPConn.SetWriteDeadline(time.Now().Add(writeTime))
	}
	return c.TCPConn.Write(frame)
}

// firstRequestKey is where the context of a connection holds its *time.Timer of newConnection.
type firstRequestKey struct{}

// newConnection closes a connection that was just accepted unless the header of its first request
// comes in time. net/http does so for HTTP/1.1. Once a client has sent the settings of HTTP/2, net/http
// waits for as long as a connection may be idle.
func newConnection(ctx context.Context, connection net.Conn) context.Context {
	timer := time.AfterFunc(headerTime, func() { _ = connection.Close() })
	return context.WithValue(ctx, firstRequestKey{}, timer)
}

// stopFirstRequestTimer keeps the connection of a request open.
func stopFirstRequestTimer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if timer, ok := r.Context().Value(firstRequestKey{}).(*time.Timer); ok {
			timer.Stop()
		}
		next.ServeHTTP(w, r)
	})
}
