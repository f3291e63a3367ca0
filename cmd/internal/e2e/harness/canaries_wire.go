package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing/iotest"

	"lumen/store/auth"
)

// Watching notes what is sent to servers that are watched, and keeps every byte of the replies that somebody records.
type Watching struct{ Next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (w Watching) RoundTrip(r *http.Request) (*http.Response, error) {
	all := canariesAt(r.URL.Host)
	for _, c := range all {
		c.noteRequest(r)
	}
	response, err := w.Next.RoundTrip(r)
	if err != nil {
		return response, err
	}
	for _, c := range all {
		c.noteReply(r, response)
	}
	return response, nil
}

// CloseIdleConnections is what http.Client's asks for.
func (w Watching) CloseIdleConnections() {
	if next, ok := w.Next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

// noteReply has every byte of it recorded that somebody wants, and looks at what it says is wrong.
func (c *Canaries) noteReply(r *http.Request, response *http.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if recorder := c.recorders[r.Header.Get("Authorization")]; recorder != nil {
		_, _ = fmt.Fprintf(recorder, "%s %s\n", response.Proto, response.Status)
		_ = response.Header.Write(recorder)
		response.Body = rereadBody{io.TeeReader(response.Body, recorder), response.Body}
	}
	said := wrongs(r, response)
	for _, piece := range c.in(said) {
		c.echoed = append(c.echoed, fmt.Sprintf("the reply to %s %s, %d, holds %q, which a client sent: %s", r.Method, r.URL.Path, response.StatusCode, piece, said))
	}
}

// rereadBody is a reply's, read through something.
type rereadBody struct {
	io.Reader
	io.Closer
}

var (
	userErrors = regexp.MustCompile(`"userErrors":\[[^\]]*\]`)
	// documentNames are how GraphQL says which name in a document it does not know.
	documentNames = regexp.MustCompile(`(Cannot query field|Unknown directive|Unexpected Name) "@?\w+"`)
)

// wrongs returns what a reply says is wrong: a refusal's body, GraphQL's errors. Where the fault is, is said by the names that
// the client chose: details have fields, errors have paths and the document's names. It leaves the body to be read.
func wrongs(r *http.Request, response *http.Response) string {
	isJSON := strings.Contains(response.Header.Get("Content-Type"), "json")
	if !isJSON || response.StatusCode < 400 && r.URL.Path != "/graphql" {
		return ""
	}
	text, err := io.ReadAll(response.Body)
	if err != nil { // it was cut off
		response.Body = rereadBody{io.MultiReader(bytes.NewReader(text), iotest.ErrReader(err)), response.Body}
		return ""
	}
	response.Body = rereadBody{bytes.NewReader(text), response.Body}
	var reply struct {
		Details []struct{ Field string }
		Errors  []struct {
			Message    string
			Extensions json.RawMessage
		}
	}
	if json.Unmarshal(text, &reply) != nil {
		return string(text)
	}
	said := string(text)
	if response.StatusCode < 400 || reply.Errors != nil {
		said = documentNames.ReplaceAllString(fmt.Sprintf("%s %s", reply.Errors, userErrors.FindAllString(said, -1)), "")
	}
	for _, detail := range reply.Details {
		said = strings.ReplaceAll(said, detail.Field, "")
	}
	return said
}

// Record keeps every byte of the replies to these keys and tokens.
func (c *Canaries) Record(keys ...auth.Secret) *LockedBuffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := new(LockedBuffer)
	for _, key := range keys {
		c.recorders["Bearer "+string(key)] = all
	}
	return all
}
