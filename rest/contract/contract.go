// Package contract holds servers to an OpenAPI document, in tests. It knows nothing of the program: what it is given is
// the document and the traffic.
package contract

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Contract is an OpenAPI document that traffic can be compared with.
type Contract struct {
	document *openapi3.T
	paths    map[string]*regexp.Regexp
}

// Load reads an OpenAPI 3.1 document, in YAML or JSON.
func Load(document []byte) (*Contract, error) {
	parsed, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if err := parsed.Validate(context.Background()); err != nil {
		return nil, fmt.Errorf("the OpenAPI document is not valid: %w", err)
	}
	c := &Contract{document: parsed, paths: map[string]*regexp.Regexp{}}
	for path := range parsed.Paths.Map() {
		pattern := parameter.ReplaceAllString(regexp.QuoteMeta(path), `(?P<$1>[^/]+)`)
		if c.paths[path], err = regexp.Compile("^" + pattern + "$"); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// parameter matches a path's parameter after QuoteMeta.
var parameter = regexp.MustCompile(`\\{(\w+)\\}`)

// Check compares a reply with the document: its status, headers, media type and body. When the reply is a success the
// request is compared as well: what is not documented must not work. The bodies are given whole and decoded; those of the
// request and the response are not read.
func (c *Contract) Check(request *http.Request, requestBody []byte, response *http.Response, body []byte) error {
	err := c.check(request, requestBody, response, body)
	if err != nil {
		return fmt.Errorf("%s %s was answered with %d: %w", request.Method, request.URL.RequestURI(), response.StatusCode, err)
	}
	return nil
}

func (c *Contract) check(request *http.Request, requestBody []byte, response *http.Response, body []byte) error {
	path, values := c.find(request.URL)
	if path == "" {
		return c.checkUnrouted(request, response, body)
	}
	item := c.document.Paths.Value(path)
	operation := item.GetOperation(request.Method)
	switch {
	case operation == nil && response.StatusCode != http.StatusMethodNotAllowed:
		return errors.New("the path has no such method, which is a 405")
	case operation == nil: // what a 405 is like is told once per path
		for _, o := range item.Operations() {
			if o.Responses.Status(http.StatusMethodNotAllowed) != nil {
				operation = o
			}
		}
	case response.StatusCode == http.StatusMethodNotAllowed:
		return errors.New("the path has this method")
	}
	if operation == nil {
		return errors.New("the path documents no 405")
	}
	if operation.Responses.Status(response.StatusCode) == nil {
		return errors.New("the status is not documented")
	}

	input := c.input(request, requestBody, path, operation, values)
	if response.StatusCode < 300 {
		if err := openapi3filter.ValidateRequest(request.Context(), input); err != nil {
			return fmt.Errorf("the request is not documented, and should have been refused: %w", err)
		}
	}
	return checkResponse(input, response, body)
}

// checkUnrouted holds that what the document does not know is a 404 like those that it knows.
func (c *Contract) checkUnrouted(request *http.Request, response *http.Response, body []byte) error {
	if response.StatusCode != http.StatusNotFound {
		return errors.New("the path is not documented, which is a 404")
	}
	for path, item := range c.document.Paths.Map() {
		for _, operation := range item.Operations() {
			if operation.Responses.Status(http.StatusNotFound) != nil {
				return checkResponse(c.input(request, nil, path, operation, nil), response, body)
			}
		}
	}
	return errors.New("the document knows no 404")
}

func (c *Contract) input(request *http.Request, body []byte, path string, operation *openapi3.Operation, values map[string]string) *openapi3filter.RequestValidationInput {
	r := request.Clone(request.Context())
	// A value is compared as it is stored: the document says that white space around it does not count.
	r.Body, r.GetBody = io.NopCloser(bytes.NewReader(trimmed(body))), nil
	return &openapi3filter.RequestValidationInput{
		Request: r, PathParams: values,
		Route: &routers.Route{Spec: c.document, Path: path, PathItem: c.document.Paths.Value(path), Method: r.Method, Operation: operation},
		Options: &openapi3filter.Options{
			MultiError: true, SkipSettingDefaults: true,
			AuthenticationFunc: func(_ context.Context, input *openapi3filter.AuthenticationInput) error {
				if input.RequestValidationInput.Request.Header.Get("Authorization") == "" {
					return errors.New("there is no credential")
				}
				return nil
			},
		},
	}
}

func checkResponse(input *openapi3filter.RequestValidationInput, response *http.Response, body []byte) error {
	documented := input.Route.Operation.Responses.Status(response.StatusCode).Value
	bodiless := input.Request.Method == http.MethodHead
	switch {
	case bodiless && len(body) > 0:
		return errors.New("a reply to HEAD has no body")
	case !bodiless && len(documented.Content) == 0 && len(body) > 0:
		return errors.New("a body is not documented")
	case bodiless:
		// The library leaves HEAD out; the headers count there, too.
		get := *input
		get.Request = input.Request.Clone(input.Request.Context())
		get.Request.Method = http.MethodGet
		input = &get
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input,
		Status:                 response.StatusCode,
		Header:                 response.Header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: bodiless,
		},
	})
}

// find returns the documented path of a URL, the literal one before one with parameters, and the parameters' values.
func (c *Contract) find(u *url.URL) (string, map[string]string) {
	var found string
	for path, pattern := range c.paths {
		if pattern.MatchString(u.EscapedPath()) && (found == "" || strings.Count(path, "{") < strings.Count(found, "{")) {
			found = path
		}
	}
	if found == "" {
		return "", nil
	}
	pattern, values := c.paths[found], map[string]string{}
	for i, value := range pattern.FindStringSubmatch(u.EscapedPath())[1:] {
		values[pattern.SubexpNames()[i+1]], _ = url.PathUnescape(value)
	}
	return found, values
}

// covers reports whether a URL lies below the first segment of a documented path, such as /api.
func (c *Contract) covers(u *url.URL) bool {
	return slices.ContainsFunc(c.document.Paths.InMatchingOrder(), func(path string) bool {
		first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		return u.Path == "/"+first || strings.HasPrefix(u.Path, "/"+first+"/")
	})
}

// trimmed returns a JSON object with the white space around its text values removed, and anything else as it is.
func trimmed(body []byte) []byte {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return body
	}
	for name, value := range members {
		if text, ok := value.(string); ok {
			members[name] = strings.TrimSpace(text)
		}
	}
	out, err := json.Marshal(members)
	if err != nil {
		return body
	}
	return out
}
