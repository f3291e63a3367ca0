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

// Watching records the values that are sent to watched servers, checks their error replies for
// them, and keeps every byte of the replies for which Record was called.
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

// CloseIdleConnections makes http.Client.CloseIdleConnections close those of Next.
func (w Watching) CloseIdleConnections() {
	if next, ok := w.Next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

// noteReply records a reply if Record was called for its credential, and searches its error
// messages for canaries.
func (c *Canaries) noteReply(r *http.Request, response *http.Response) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if recorder := c.recorders[r.Header.Get("Authorization")]; recorder != nil {
		_, _ = fmt.Fprintf(recorder, "%s %s\n", response.Proto, response.Status)
		_ = response.Header.Write(recorder)
		response.Body = replacedBody{io.TeeReader(response.Body, recorder), response.Body}
	}
	messages := errorText(r, response)
	for _, piece := range c.piecesIn(messages) {
		c.echoed = append(c.echoed, fmt.Sprintf("the reply to %s %s, status %d, contains %q, which a client sent: %s", r.Method, r.URL.Path, response.StatusCode, piece, messages))
	}
}

// replacedBody reads from one reader and closes the original body.
type replacedBody struct {
	io.Reader
	io.Closer
}

var (
	userErrors = regexp.MustCompile(`"userErrors":\[[^\]]*\]`)
	// documentNames matches the messages of GraphQL that quote an unknown name from the document.
	documentNames = regexp.MustCompile(`(Cannot query field|Unknown directive|Unexpected Name) "@?\w+"`)
)

// errorText returns the error messages of a reply: the body of a REST error, or GraphQL's errors.
// It leaves out the names that say where the error is, since the client chose them: the fields of
// details, the paths of errors and the names in the document. The body of the reply can still be
// read afterwards.
func errorText(r *http.Request, response *http.Response) string {
	isJSON := strings.Contains(response.Header.Get("Content-Type"), "json")
	if !isJSON || response.StatusCode < 400 && r.URL.Path != "/graphql" {
		return ""
	}
	text, err := io.ReadAll(response.Body)
	if err != nil { // the connection broke
		response.Body = replacedBody{io.MultiReader(bytes.NewReader(text), iotest.ErrReader(err)), response.Body}
		return ""
	}
	response.Body = replacedBody{bytes.NewReader(text), response.Body}
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
	messages := string(text)
	if response.StatusCode < 400 || reply.Errors != nil {
		messages = documentNames.ReplaceAllString(fmt.Sprintf("%s %s", reply.Errors, userErrors.FindAllString(messages, -1)), "")
	}
	for _, detail := range reply.Details {
		messages = strings.ReplaceAll(messages, detail.Field, "")
	}
	return messages
}

// Record keeps every byte of the replies to requests with these keys and tokens.
func (c *Canaries) Record(keys ...auth.Secret) *LockedBuffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := new(LockedBuffer)
	for _, key := range keys {
		c.recorders["Bearer "+string(key)] = all
	}
	return all
}
