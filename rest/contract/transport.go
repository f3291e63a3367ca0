package contract

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Transport returns a RoundTripper that compares the traffic of next with the document and reports
// each difference. It does not change the traffic. It checks requests whose path begins with the
// first segment of a documented path. report has the signature of testing.TB's Errorf; the
// goroutine that reads the body of the reply calls it.
func (c *Contract) Transport(next http.RoundTripper, report func(format string, args ...any)) http.RoundTripper {
	return &transport{c, next, report}
}

type transport struct {
	contract *Contract
	next     http.RoundTripper
	report   func(format string, args ...any)
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	if !t.contract.covers(request.URL) {
		return t.next.RoundTrip(request)
	}
	// The body is copied while it is sent, not read in advance: a test can be about how it is sent.
	sent := new(tee)
	if request.Body != nil && request.Body != http.NoBody {
		clone := request.Clone(request.Context())
		sent.ReadCloser = request.Body
		clone.Body = sent
		request = clone
	}
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return response, err
	}
	received := &tee{ReadCloser: response.Body}
	received.onEnd = func() {
		body, err := decoded(response.Header, received.read())
		if err == nil {
			err = t.contract.Check(request, sent.read(), response, body)
		}
		if err != nil {
			t.report("contract: %v", err)
		}
	}
	if response.Body == http.NoBody || request.Method == http.MethodHead {
		received.finish()
	}
	response.Body = received
	return response, nil
}

// tee copies the bytes that are read, and calls onEnd once, at the end of the body.
type tee struct {
	io.ReadCloser
	onEnd func()

	mu   sync.Mutex // net/http can still be sending a request when its reply arrives.
	copy bytes.Buffer
}

func (r *tee) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.mu.Lock()
	r.copy.Write(p[:n])
	r.mu.Unlock()
	if err == io.EOF {
		r.finish()
	}
	return n, err
}

// Close calls onEnd if the body was read to the end of its JSON but not to EOF, as json.Decoder
// does. A body that ended early, or that the test left unread, is not compared.
func (r *tee) Close() error {
	if r.onEnd != nil && json.Valid(r.read()) {
		r.finish()
	}
	return r.ReadCloser.Close()
}

func (r *tee) read() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return bytes.Clone(r.copy.Bytes())
}

func (r *tee) finish() {
	if onEnd := r.onEnd; onEnd != nil {
		r.onEnd = nil
		onEnd()
	}
}

// decoded decompresses a body if the client set Accept-Encoding itself. In all other cases net/http
// has decompressed the body already.
func decoded(header http.Header, body []byte) ([]byte, error) {
	if len(body) == 0 {
		return body, nil
	}
	switch header.Get("Content-Encoding") {
	case "gzip":
		reader, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return io.ReadAll(reader)
	case "zstd":
		reader, err := zstd.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		defer reader.Close()
		return io.ReadAll(reader)
	default:
		return body, nil
	}
}
