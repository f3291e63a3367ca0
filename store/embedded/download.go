//go:build unix

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	// connectLimit bounds the connection to a server, and again its TLS handshake. TCP sends its
	// first segment again after 1, 3 and 7 s: a server that answers none of the four is down.
	connectLimit = 10 * time.Second
	// headerLimit bounds the wait for the header of a response. A mirror that does not hold the
	// file yet fetches it from the repository behind it before it answers.
	headerLimit = 15 * time.Second
	// stallLimit bounds the time without a single byte. A change of networks takes a few seconds,
	// and a slow connection delivers some bytes every second. There is no limit for the whole
	// download.
	stallLimit = 20 * time.Second
)

// downloader fetches files over HTTP.
type downloader struct {
	client *http.Client
	stall  time.Duration
}

func newDownloader(connect, header, stall time.Duration) *downloader {
	return &downloader{stall: stall, client: &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connect}).DialContext,
		TLSHandshakeTimeout:   connect,
		ResponseHeaderTimeout: header,
		ForceAttemptHTTP2:     true,
		DisableKeepAlives:     true, // an idle connection would keep goroutines that outlive Start
	}}}
}

// get requests a file and calls read with its body and its size, which is -1 when the server does
// not tell it.
func (d *downloader) get(ctx context.Context, address string, read func(body io.Reader, size int64) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil { // the error quotes the address, which may hold a password
		return errors.New("the repository's address is not a URL")
	}
	response, err := d.client.Do(request)
	if err != nil {
		if failed := new(url.Error); errors.As(err, &failed) {
			err = failed.Err // without the method and the address
		}
		return fmt.Errorf("fetch %s: %w", redacted(address), err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch %s: %s", redacted(address), response.Status)
	}
	timer := time.AfterFunc(d.stall, func() { cancel(fmt.Errorf("no byte arrived for %v", d.stall)) })
	defer timer.Stop()
	body := readerFunc(func(p []byte) (int, error) {
		n, err := response.Body.Read(p)
		if n > 0 {
			timer.Reset(d.stall)
		}
		return n, err
	})
	if err := read(body, response.ContentLength); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("fetch %s: %w", redacted(address), err)
	}
	return nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// redacted returns an address without its password.
func redacted(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "the repository"
	}
	return parsed.Redacted()
}
