package program

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"lumen/store"
)

// watching notes what is sent to servers that are watched, and keeps every byte of the replies that somebody records.
type watching struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (w watching) RoundTrip(r *http.Request) (*http.Response, error) {
	all := canariesAt(r.URL.Host)
	for _, c := range all {
		c.noteRequest(r)
	}
	response, err := w.next.RoundTrip(r)
	if err != nil {
		return response, err
	}
	for _, c := range all {
		c.noteReply(r, response)
	}
	return response, nil
}

// CloseIdleConnections is what http.Client's asks for.
func (w watching) CloseIdleConnections() {
	if next, ok := w.next.(interface{ CloseIdleConnections() }); ok {
		next.CloseIdleConnections()
	}
}

// noteReply has every byte of it recorded that somebody wants, and looks at what it says is wrong.
func (c *canaries) noteReply(r *http.Request, response *http.Response) {
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

// record keeps every byte of the replies to these keys and tokens.
func (c *canaries) record(keys ...store.Secret) *lockedBuffer {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := new(lockedBuffer)
	for _, key := range keys {
		c.recorders["Bearer "+string(key)] = all
	}
	return all
}

// answering is a server that answers all requests alike.
type answering struct {
	status int
	body   string
}

// RoundTrip implements http.RoundTripper.
func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

// What says that something is wrong says so without what was sent; what was asked for is another thing.
func TestCanariesAreCaughtInReplies(t *testing.T) {
	t.Parallel()
	const value = "jane@example.com"
	for name, test := range map[string]struct {
		path   string
		status int
		body   string
		echoes bool
	}{
		"a refusal":                         {"/api/customers", 409, `{"error":"jane@example.com exists"}`, true},
		"a detail":                          {"/api/customers", 400, `{"error":"no","details":[{"field":"email","message":"not JANE@example.com"}]}`, true},
		"the name of a field":               {"/api/access-tokens", 400, `{"error":"no","details":[{"field":"jane@example.com","message":"jane@example.com is unknown"}]}`, false},
		"a GraphQL error":                   {"/graphql", 200, `{"data":null,"errors":[{"message":"found jane@example.com"}]}`, true},
		"a user error":                      {"/graphql", 200, `{"data":{"createCustomer":{"userErrors":[{"message":"jane@example.com"}]}}}`, true},
		"where a GraphQL error is":          {"/graphql", 200, `{"data":null,"errors":[{"message":"no","path":["jane@example.com"]}]}`, false},
		"a customer beside a GraphQL error": {"/graphql", 200, `{"data":{"customer":{"email":"jane@example.com"}},"errors":[{"message":"no"}]}`, false},
		"a customer":                        {"/api/customers", 200, `{"customer":{"email":"jane@example.com"}}`, false},
		"what no JSON is":                   {"/api/customers", 500, `jane@example.com`, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := &canaries{pieces: map[string][]string{}, known: map[string]bool{}}
			c.note(value)
			request, err := http.NewRequest("GET", "http://net.example"+test.path, nil)
			require.NoError(t, err)
			response, err := answering{test.status, test.body}.RoundTrip(request)
			require.NoError(t, err)
			c.noteReply(request, response)
			require.Equal(t, test.echoes, len(c.caught()) > 0)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, test.body, string(body), "whoever asked reads all of it")
		})
	}
}

func TestCanariesAreCaughtInTraces(t *testing.T) {
	t.Parallel()
	attribute := func(text string) []*commonv1.KeyValue {
		return []*commonv1.KeyValue{{Key: "key", Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: text}}}}
	}
	const value = "jane@example.com"
	for name, span := range map[string]*tracev1.Span{
		"a name": {Name: "GET " + value}, "a status": {Status: &tracev1.Status{Message: value}}, "a state": {TraceState: "lumen=" + value},
		"an attribute": {Attributes: attribute(value)}, "an event": {Events: []*tracev1.Span_Event{{Attributes: attribute(value)}}},
		"a link": {Links: []*tracev1.Span_Link{{Attributes: attribute(value)}}},
	} {
		c := &canaries{pieces: map[string][]string{}, known: map[string]bool{}}
		c.note(value)
		all := &told{texts: map[string]bool{}}
		all.note(&tracev1.ResourceSpans{Resource: &resourcev1.Resource{Attributes: attribute("lumen")}, ScopeSpans: []*tracev1.ScopeSpans{{Spans: []*tracev1.Span{{Name: "GET"}}}}})
		require.Empty(t, all.caught(c), name)
		all.note(&tracev1.ResourceSpans{Resource: &resourcev1.Resource{}, ScopeSpans: []*tracev1.ScopeSpans{{Spans: []*tracev1.Span{span}}}})
		require.NotEmpty(t, all.caught(c), name)
	}
}
