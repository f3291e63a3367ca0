package harness

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"
)

// logMark is the prefix of the ids of the requests that Logged sends.
const logMark = "end-of-log-"

// Logged returns the log of the server at url, with the lines of all answered requests. serve may
// delay these lines by 100 ms but keeps their order. Logged therefore sends one more request and
// waits for its line. If the server does not answer, Logged returns the log written so far.
func Logged(url string, log *LockedBuffer) string {
	mark := logMark + rand.Text()
	request, err := http.NewRequest(http.MethodDelete, url+"/docs", nil)
	if err != nil {
		panic(err) // the URL is the server's own
	}
	request.Header.Set("X-Request-Id", mark)
	unwatched := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	if response, err := unwatched.Do(request); err == nil {
		_ = response.Body.Close()
		for until := time.Now().Add(5 * time.Second); !strings.Contains(log.String(), mark) && time.Now().Before(until); {
			time.Sleep(time.Millisecond)
		}
	}
	var text strings.Builder
	for line := range strings.Lines(log.String()) {
		if !strings.Contains(line, logMark) {
			text.WriteString(line)
		}
	}
	return text.String()
}

// Logged returns the server's log with the lines of all answered requests.
func (d *Server) Logged() string { return Logged(d.URL, d.Log) }
