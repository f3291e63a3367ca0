package server

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// sendBuffer is the size that the server asks the kernel for as the send buffer of a connection, in
// octets. By default the buffer grows to megabytes, and the server would fetch that much of a list
// that the client does not read.
const sendBuffer = 256 << 10

// boundedListener accepts connections as boundedConns.
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

// boundedConn gives the client writeTime to receive each frame of HTTP/2. The write deadlines of
// net/http for HTTP/2 belong to streams: they reset the stream, and the reset itself waits when the
// client reads little of the connection. HTTP2Config.WriteByteTimeout starts again with each octet
// that the client reads.
type boundedConn struct {
	*net.TCPConn
	isHTTP2 atomic.Bool
}

// SetWriteDeadline implements net.Conn. net/http removes the deadline for HTTP/2. For HTTP/1.1 it
// removes it after a reply, and where the server has a write timeout it sets a new one before the
// next reply.
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

// firstRequestKey is the key under which the context of a connection holds the *time.Timer of
// newConnection.
type firstRequestKey struct{}

// newConnection closes a new connection unless the header of its first request arrives within
// headerTime. net/http itself does so for HTTP/1.1. Once a client has sent the settings of HTTP/2,
// net/http waits for as long as the idle timeout.
func newConnection(ctx context.Context, connection net.Conn) context.Context {
	timer := time.AfterFunc(headerTime, func() { _ = connection.Close() })
	return context.WithValue(ctx, firstRequestKey{}, timer)
}

// stopFirstRequestTimer stops the timer of newConnection, since a request has arrived.
func stopFirstRequestTimer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if timer, ok := r.Context().Value(firstRequestKey{}).(*time.Timer); ok {
			timer.Stop()
		}
		next.ServeHTTP(w, r)
	})
}
