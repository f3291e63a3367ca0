package e2e

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store"
)

// sample describes a noun for the tests that run for every noun. A new noun adds one.
type sample struct {
	noun            store.Noun
	path, selection string
	// create and change are inputs in which {new} stands for an unused email address. changed is a
	// part of the reply after a change.
	create, change, changed string
	// row returns the id of the row that stands for a customer. The row belongs to the same
	// merchant, is deleted if the customer is, and does not exist if the customer does not.
	row func(customer string) string
	// prepare is SQL that makes the database create those rows together with the customers. It may
	// be empty.
	prepare string
}

// samples has a sample of each noun.
var samples = []sample{
	{
		noun: store.NounOf[store.Customer](), path: "/api/customers", selection: allFields,
		create: `{"email":"{new}"}`, change: `{"name":"Changed","email":"{new}"}`, changed: `"name":"Changed"`,
		row: func(customer string) string { return customer },
	},
}

// TestEveryNounHasASample checks that the tests that loop over samples cover every noun of the
// registry.
func TestEveryNounHasASample(t *testing.T) {
	t.Parallel()
	var have, want []string
	for _, s := range samples {
		have = append(have, s.noun.Name())
	}
	for _, noun := range store.Nouns() {
		want = append(want, noun.Name())
	}
	require.ElementsMatch(t, want, have, "samples lacks a noun")
}

// prepareSamples makes the database create the rows that stand for customers.
func prepareSamples(t testing.TB, d *harness.Server) {
	t.Helper()
	for _, s := range samples {
		d.SQL(t, s.prepare)
	}
}

// title returns the name of the noun's type in the schema.
func (s sample) title() string {
	name := s.noun.Name()
	return strings.ToUpper(name[:1]) + name[1:]
}

// mutation returns the document that creates or updates a row under the alias "it".
func (s sample) mutation(verb string) string {
	variables, arguments := "", ""
	if verb == "update" {
		variables, arguments = "$id:ID!,", "id:$id,"
	}
	operation := strings.ToUpper(verb[:1]) + verb[1:] + s.title()
	return `mutation(` + variables + `$input:` + operation + `Input!){it:` + verb + s.title() + `(` + arguments + `input:$input){` +
		s.noun.Name() + s.selection + userErrorFields + `}}`
}

var jsonKeys = regexp.MustCompile(`"(\w+)":`)

// literal returns a JSON object as a literal of GraphQL.
func literal(object string) string { return jsonKeys.ReplaceAllString(object, "$1:") }

// creating returns an input that creates a row, with another value for one field. The value may be
// invalid JSON.
func (s sample) creating(field, value string) string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(strings.ReplaceAll(s.create, "{new}", harness.FreshEmail())), &members); err != nil {
		panic(err) // create is a constant
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name != field {
			all = append(all, `"`+name+`":`+string(members[name]))
		}
	}
	return "{" + strings.Join(append(all, `"`+field+`":`+value), ",") + "}"
}
