package harness

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	resourcev1 "go.opentelemetry.io/proto/otlp/resource/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
)

// TestCanariesInTheLogAreFound sends a value in each part of a request, writes it to a log in each
// encoding, and requires that the check finds it there. It fails if a part of a request is not
// recorded, or an encoding not decoded.
func TestCanariesInTheLogAreFound(t *testing.T) {
	t.Parallel()
	const value = `O'Brien "the <b>net</b>", at 5% & more`
	for encoding, write := range map[string]func(string) string{
		"unchanged": func(s string) string { return s },
		"in JSON": func(s string) string {
			text, _ := json.Marshal(map[string]any{"msg": []string{s}})
			return string(text)
		},
		"quoted by Go, in JSON": func(s string) string {
			text, _ := json.Marshal(map[string]any{"error": fmt.Sprintf("%q", s)})
			return string(text)
		},
		"in a query":        func(s string) string { return "GET /?name=" + url.QueryEscape(s) },
		"in a path":         func(s string) string { return "GET /" + url.PathEscape(s) },
		"in upper case":     strings.ToUpper,
		"truncated":         func(s string) string { return s[:20] },
		"as a metric label": func(s string) string { return fmt.Sprintf("requests_total{name=%q} 1", s) },
	} {
		for place, send := range map[string]func(at string) (*http.Request, error){
			"body": func(at string) (*http.Request, error) {
				return http.NewRequest("POST", at, strings.NewReader(JSON(t, map[string]any{"a": []any{map[string]string{"name": value}}})))
			},
			"variables": func(at string) (*http.Request, error) {
				return http.NewRequest("POST", at, strings.NewReader(JSON(t, map[string]any{"query": "q", "variables": map[string]string{"v": value}})))
			},
			"literal": func(at string) (*http.Request, error) {
				return http.NewRequest("POST", at, strings.NewReader(JSON(t, map[string]any{"query": `{a(b:"""` + value + `""")}`})))
			},
			"parameter": func(at string) (*http.Request, error) {
				return http.NewRequest("GET", at+"?x="+url.QueryEscape(value), nil)
			},
			"id": func(at string) (*http.Request, error) {
				return http.NewRequest("GET", at+"/api/customers/"+url.PathEscape(value), nil)
			},
			"header": func(at string) (*http.Request, error) {
				r, err := http.NewRequest("GET", at, nil)
				if err == nil {
					r.Header.Set("Authorization", "Bearer "+value)
				}
				return r, err
			},
		} {
			t.Run(encoding+", sent in a "+place, func(t *testing.T) {
				log := new(LockedBuffer)
				c := newCanaries()
				c.AlsoIn("log", log.String)
				request, err := send("http://net.example")
				if err != nil {
					t.Fatal(err)
				}
				c.noteRequest(request)
				_, _ = fmt.Fprintf(log, "{\"time\":%q,\"level\":\"INFO\",\"msg\":\"request\",\"route\":\"/api/customers/{id}\"}\n", time.Now().Format(time.RFC3339))
				if found := c.leaks(); len(found) > 0 {
					t.Fatal("found in a log that does not contain the value: ", found)
				}
				_, _ = fmt.Fprintln(log, write(value))
				if len(c.leaks()) == 0 {
					t.Fatalf("not found: %s", log)
				}
			})
		}
	}
}

// fixedResponse is a transport that answers every request with the same response.
type fixedResponse struct {
	status int
	body   string
}

// RoundTrip implements http.RoundTripper.
func (a fixedResponse) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

// TestCanariesInErrorRepliesAreFound checks that a canary is found in an error message of a reply,
// and is allowed in the data that the client asked for and in the names that say where an error is.
func TestCanariesInErrorRepliesAreFound(t *testing.T) {
	t.Parallel()
	const value = "jane@example.com"
	for name, test := range map[string]struct {
		path   string
		status int
		body   string
		echoes bool
	}{
		"a REST error":                      {"/api/customers", 409, `{"error":"jane@example.com exists"}`, true},
		"an error's detail":                 {"/api/customers", 400, `{"error":"no","details":[{"field":"email","message":"not JANE@example.com"}]}`, true},
		"a detail's field name":             {"/api/access-tokens", 400, `{"error":"no","details":[{"field":"jane@example.com","message":"jane@example.com is unknown"}]}`, false},
		"a GraphQL error":                   {"/graphql", 200, `{"data":null,"errors":[{"message":"found jane@example.com"}]}`, true},
		"a user error":                      {"/graphql", 200, `{"data":{"createCustomer":{"userErrors":[{"message":"jane@example.com"}]}}}`, true},
		"a GraphQL error's path":            {"/graphql", 200, `{"data":null,"errors":[{"message":"no","path":["jane@example.com"]}]}`, false},
		"a customer beside a GraphQL error": {"/graphql", 200, `{"data":{"customer":{"email":"jane@example.com"}},"errors":[{"message":"no"}]}`, false},
		"a customer":                        {"/api/customers", 200, `{"customer":{"email":"jane@example.com"}}`, false},
		"a body that is not JSON":           {"/api/customers", 500, `jane@example.com`, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCanaries()
			c.Note(value)
			request, err := http.NewRequest("GET", "http://net.example"+test.path, nil)
			require.NoError(t, err)
			response, err := fixedResponse{test.status, test.body}.RoundTrip(request)
			require.NoError(t, err)
			c.noteReply(request, response)
			require.Equal(t, test.echoes, len(c.leaks()) > 0)
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.Equal(t, test.body, string(body), "the client still reads the whole body")
		})
	}
}

// TestCanariesInTracesAreFound checks that a canary is found in each text that a span can hold. It
// fails if traceTexts leaves one out.
func TestCanariesInTracesAreFound(t *testing.T) {
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
		c := newCanaries()
		c.Note(value)
		all := &traceTexts{texts: map[string]bool{}}
		all.note(&tracev1.ResourceSpans{Resource: &resourcev1.Resource{Attributes: attribute("lumen")}, ScopeSpans: []*tracev1.ScopeSpans{{Spans: []*tracev1.Span{{Name: "GET"}}}}})
		require.Empty(t, all.leaks(c), name)
		all.note(&tracev1.ResourceSpans{Resource: &resourcev1.Resource{}, ScopeSpans: []*tracev1.ScopeSpans{{Spans: []*tracev1.Span{span}}}})
		require.NotEmpty(t, all.leaks(c), name)
	}
}
