// Package contract compares HTTP traffic with an OpenAPI document, in tests. It depends only on the
// document and the traffic, not on the server.
package contract

import (
	"bytes"
	"cmp"
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
	"github.com/go-openapi/jsonpointer"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Contract is an OpenAPI document to compare traffic with.
type Contract struct {
	document *openapi3.T
	paths    map[string]*regexp.Regexp
	bodies   map[*openapi3.MediaType]*jsonschema.Schema
	headers  map[*openapi3.Response]map[string]headerSchema
}

// headerSchema is the compiled schema of a response header. A number is read from its text.
type headerSchema struct {
	*jsonschema.Schema
	isNumber, isRequired bool
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
	c := &Contract{
		document: parsed,
		paths:    make(map[string]*regexp.Regexp),
		bodies:   make(map[*openapi3.MediaType]*jsonschema.Schema),
		headers:  make(map[*openapi3.Response]map[string]headerSchema),
	}
	for path := range parsed.Paths.Map() {
		pattern := parameter.ReplaceAllString(regexp.QuoteMeta(path), `(?P<$1>[^/]+)`)
		if c.paths[path], err = regexp.Compile("^" + pattern + "$"); err != nil {
			return nil, err
		}
	}
	return c, c.compile()
}

// compile compiles the schemas of bodies and of response headers, and removes them from the document.
// The library would compile a schema again for each value, which takes ten times as long as the rest of
// the comparison.
func (c *Contract) compile() error {
	const document = "openapi.json"
	text, err := c.document.MarshalJSON()
	if err != nil {
		return err
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(document, whole); err != nil {
		return err
	}
	compile := func(location string, content openapi3.Content) error {
		for mime, media := range content {
			if media.Schema == nil {
				continue // The body has no schema, or another operation shares it.
			}
			schema, err := compiler.Compile(document + location + "/content/" + jsonpointer.Escape(mime) + "/schema")
			if err != nil {
				return err
			}
			c.bodies[media], media.Schema = schema, nil
		}
		return nil
	}
	compileHeaders := func(location string, response *openapi3.Response) error {
		if c.headers[response] != nil {
			return nil // compiled as another operation's
		}
		schemas := map[string]headerSchema{}
		for name, header := range response.Headers {
			at := document + cmp.Or(header.Ref, location+"/headers/"+jsonpointer.Escape(name)) + "/schema"
			schema, err := compiler.Compile(at)
			if err != nil {
				return err
			}
			types := header.Value.Schema.Value.Type
			isNumber := types.Is(openapi3.TypeInteger) || types.Is(openapi3.TypeNumber)
			schemas[name] = headerSchema{schema, isNumber, header.Value.Required}
		}
		c.headers[response], response.Headers = schemas, nil
		return nil
	}
	for path, item := range c.document.Paths.Map() {
		for method, operation := range item.Operations() {
			here := "#/paths/" + jsonpointer.Escape(path) + "/" + strings.ToLower(method)
			if request := operation.RequestBody; request != nil {
				if err := compile(cmp.Or(request.Ref, here+"/requestBody"), request.Value.Content); err != nil {
					return err
				}
			}
			for status, response := range operation.Responses.Map() {
				location := cmp.Or(response.Ref, here+"/responses/"+status)
				err := cmp.Or(compile(location, response.Value.Content), compileHeaders(location, response.Value))
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// parameter matches a parameter in a path, as regexp.QuoteMeta writes it.
var parameter = regexp.MustCompile(`\\{(\w+)\\}`)

// Check compares a reply with the document: its status, headers, media type and body. If the status
// is below 300, Check also compares the request, because an undocumented request must not succeed.
// The bodies are complete and decoded. Check does not read request.Body and response.Body. The
// error describes the first difference.
func (c *Contract) Check(request *http.Request, requestBody []byte, response *http.Response, body []byte) error {
	err := c.check(request, requestBody, response, body)
	if err != nil {
		return fmt.Errorf("%s %s was answered with %d: %w",
			request.Method, request.URL.RequestURI(), response.StatusCode, err)
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
	case operation == nil: // One operation of each path documents the 405 of the path.
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
		err := openapi3filter.ValidateRequest(request.Context(), input)
		if query := request.URL.RawQuery; err != nil && strings.Contains(query, "+") {
			// As documented, a raw + stands for itself where a space would be refused.
			plain := request.Clone(request.Context())
			plain.URL.RawQuery = strings.ReplaceAll(query, "+", "%2B")
			input := c.input(plain, requestBody, path, operation, values)
			err = openapi3filter.ValidateRequest(request.Context(), input)
		}
		if err == nil && operation.RequestBody != nil && len(requestBody) > 0 {
			// As documented, white space around a value is removed before it is checked.
			media := operation.RequestBody.Value.Content.Get(request.Header.Get("Content-Type"))
			err = c.checkBody(media, trimmed(requestBody))
		}
		if err != nil {
			return fmt.Errorf("the request is not documented, and should have been refused: %w", err)
		}
	}
	return c.checkResponse(input, response, body)
}

// checkUnrouted checks the reply for an undocumented path: it must be a 404 of the documented form.
func (c *Contract) checkUnrouted(request *http.Request, response *http.Response, body []byte) error {
	if response.StatusCode != http.StatusNotFound {
		return errors.New("the path is not documented, which is a 404")
	}
	for path, item := range c.document.Paths.Map() {
		for _, operation := range item.Operations() {
			if operation.Responses.Status(http.StatusNotFound) != nil {
				return c.checkResponse(c.input(request, nil, path, operation, nil), response, body)
			}
		}
	}
	return errors.New("the document knows no 404")
}

func (c *Contract) input(
	request *http.Request, body []byte, path string, operation *openapi3.Operation, values map[string]string,
) *openapi3filter.RequestValidationInput {
	r := request.Clone(request.Context())
	r.Body, r.GetBody = io.NopCloser(bytes.NewReader(body)), nil
	return &openapi3filter.RequestValidationInput{
		Request: r, PathParams: values,
		Route: &routers.Route{
			Spec: c.document, Path: path, PathItem: c.document.Paths.Value(path),
			Method: r.Method, Operation: operation,
		},
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

func (c *Contract) checkResponse(
	input *openapi3filter.RequestValidationInput, response *http.Response, body []byte,
) error {
	documented := input.Route.Operation.Responses.Status(response.StatusCode).Value
	bodiless := input.Request.Method == http.MethodHead
	switch {
	case bodiless && len(body) > 0:
		return errors.New("a reply to HEAD has no body")
	case !bodiless && len(documented.Content) == 0 && len(body) > 0:
		return errors.New("a body is not documented")
	case bodiless:
		// The library does not check replies to HEAD, but their headers must be right as well.
		get := *input
		get.Request = input.Request.Clone(input.Request.Context())
		get.Request.Method = http.MethodGet
		input = &get
	}
	err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input,
		Status:                 response.StatusCode,
		Header:                 response.Header,
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: bodiless,
		},
	})
	if err == nil {
		err = checkHeaders(c.headers[documented], response.Header)
	}
	if err != nil || bodiless {
		return err
	}
	return c.checkBody(documented.Content.Get(response.Header.Get("Content-Type")), body)
}

// checkHeaders compares the headers of a response with the documented ones.
func checkHeaders(documented map[string]headerSchema, header http.Header) error {
	for name, schema := range documented {
		if header.Values(name) == nil {
			if schema.isRequired {
				return fmt.Errorf("the header %s is missing", name)
			}
			continue
		}
		var value any = header.Get(name)
		if schema.isNumber {
			value = json.Number(header.Get(name))
		}
		if err := schema.Validate(value); err != nil {
			return fmt.Errorf("the header %s is not as documented: %w", name, err)
		}
	}
	return nil
}

func (c *Contract) checkBody(media *openapi3.MediaType, body []byte) error {
	schema := c.bodies[media]
	if schema == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return schema.Validate(value)
}

// find returns the documented path of a URL and the values of its parameters. It prefers the path
// with fewer parameters.
func (c *Contract) find(u *url.URL) (string, map[string]string) {
	var found string
	for path, pattern := range c.paths {
		hasFewer := found == "" || strings.Count(path, "{") < strings.Count(found, "{")
		if hasFewer && pattern.MatchString(u.EscapedPath()) {
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

// trimmed returns a JSON object without the white space around its text values. It returns any
// other body unchanged.
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
