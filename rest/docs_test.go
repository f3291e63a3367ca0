package rest

import (
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store"
	"lumen/store/auth"
)

// openAPIDocument is the part of the OpenAPI document that the tests read.
type openAPIDocument struct {
	Paths      map[string]map[string]json.RawMessage
	Components struct {
		Parameters map[string]struct {
			Name   string
			Schema struct{ Maximum int }
		}
		Schemas map[string]struct {
			Required   []string
			Properties map[string]struct{ Description string }
		}
		Responses map[string]struct {
			Content map[string]struct {
				Schema struct {
					Properties struct{ Error struct{ Enum []string } }
				}
				Examples map[string]struct{ Value struct{ Error string } }
			}
		}
	}
}

func readDocument(t *testing.T) openAPIDocument {
	t.Helper()
	var d openAPIDocument
	require.NoError(t, json.Unmarshal(OpenAPIJSON(""), &d))
	return d
}

// errorTexts returns the documented error texts of all operations, by status.
func (d openAPIDocument) errorTexts(t *testing.T) map[int][]string {
	t.Helper()
	texts := map[int][]string{}
	for _, item := range d.Paths {
		for method, raw := range item {
			if method == "parameters" {
				continue
			}
			var operation struct {
				Responses map[string]struct {
					Ref string `json:"$ref"`
				}
			}
			require.NoError(t, json.Unmarshal(raw, &operation))
			for status, response := range operation.Responses {
				code, err := strconv.Atoi(status)
				require.NoError(t, err)
				if code < 400 {
					continue
				}
				content := d.Components.Responses[path.Base(response.Ref)].Content["application/json"]
				require.NotEmpty(t, content.Schema.Properties.Error.Enum, response.Ref)
				shown := map[string]bool{}
				for _, example := range content.Examples {
					shown[example.Value.Error] = true
				}
				for _, text := range content.Schema.Properties.Error.Enum {
					require.True(t, shown[text], "%s has no example of %q", response.Ref, text)
					texts[code] = append(texts[code], text)
				}
			}
		}
	}
	for status := range texts {
		slices.Sort(texts[status])
		texts[status] = slices.Compact(texts[status])
	}
	return texts
}

func TestDocumentHasExactlyTheErrors(t *testing.T) {
	t.Parallel()
	want := map[int][]string{
		400: {store.OneObject},
		415: {"Content-Encoding must be identity"},
		409: {"Another customer with this email already exists. Use dangerouslyAllowSameEmailForDifferentCustomers to allow."},
		500: {"Failed to create access token", "Failed to create customer", "Failed to delete customer", "Failed to fetch changes",
			"Failed to fetch customer", "Failed to fetch customers", "Failed to fetch token keys", "Failed to update customer"},
	}
	for _, code := range store.Codes() {
		err := store.NounOf[store.Customer]().NewError(code)
		want[err.Status()] = append(want[err.Status()], err.Message)
	}
	for status := range want {
		slices.Sort(want[status])
	}
	require.Equal(t, want, readDocument(t).errorTexts(t))
}

func TestDocumentHasExactlyTheFields(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	properties := func(schema string) (names []string) {
		for name, property := range d.Components.Schemas[schema].Properties {
			require.NotEmpty(t, property.Description, "%s of %s", name, schema)
			names = append(names, name)
		}
		return names
	}
	for _, noun := range store.Nouns() {
		title := strings.ToUpper(noun.Name()[:1]) + noun.Name()[1:]
		var wire []string
		for _, field := range noun.Fields() {
			if !field.GraphQLOnly {
				wire = append(wire, field.Name)
			}
		}
		require.Equal(t, wire, d.Components.Schemas[title].Required)
		require.ElementsMatch(t, wire, properties(title), title)
		var created, changed, required []string
		for _, input := range noun.Inputs() {
			created = append(created, input.Name)
			if input.Required {
				required = append(required, input.Name)
			}
			if !input.Immutable {
				changed = append(changed, input.Name)
			}
		}
		require.ElementsMatch(t, created, properties("New"+title), "New"+title)
		require.ElementsMatch(t, required, d.Components.Schemas["New"+title].Required, "New"+title)
		require.ElementsMatch(t, changed, properties(title+"Changes"), title+"Changes")
		require.Empty(t, d.Components.Schemas[title+"Changes"].Required)
	}
	require.ElementsMatch(t, auth.TokenFieldNames, properties("NewAccessToken"))
	require.Equal(t, store.MaxPageSize, d.Components.Parameters["Limit"].Schema.Maximum)
}

// TestDocumentHasExactlyTheRoutes checks that the document has all routes, with HEAD for each GET,
// and no others.
func TestDocumentHasExactlyTheRoutes(t *testing.T) {
	t.Parallel()
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(OpenAPIJSON(""), &document))
	var documented, routed []string
	for path, item := range document.Paths {
		for method := range item {
			if strings.HasPrefix(path, "/api/") && method != "parameters" {
				documented = append(documented, strings.ToUpper(method)+" "+path)
			}
		}
	}
	for _, r := range Routes() {
		require.Contains(t, Operations(), r.Operation)
		routed = append(routed, r.Method+" "+r.Pattern)
		if r.Method == http.MethodGet {
			routed = append(routed, http.MethodHead+" "+r.Pattern)
		}
	}
	require.ElementsMatch(t, documented, routed)
}
