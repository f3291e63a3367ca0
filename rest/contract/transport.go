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

// Transport returns a RoundTripper that reports what next was answered otherwise than the document says, and changes
// nothing. It looks at requests below the first segments of the documented paths. report is like testing.TB's Errorf, and
// is called by whoever reads the body.
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
	// What is sent is noted on its way, not read ahead: how a body is sent may be what a test is about.
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
	received.whole = func() {
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

// tee copies what is read, and calls whole once when that was all of it.
type tee struct {
	io.ReadCloser
	whole func()

	mu   sync.Mutex // net/http may still be sending a request when its reply is there
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

// Close ends a body that was read up to the end of its JSON, though not to EOF, as json.Decoder does. One that broke off,
// or was left on purpose, is not judged.
func (r *tee) Close() error {
	if r.whole != nil && json.Valid(r.read()) {
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
	if whole := r.whole; whole != nil {
		r.whole = nil
		whole()
	}
}

// decoded undoes the compression that a client asked for itself; net/http undoes its own.
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
