package e2e

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
)

// inputValue is a value as JSON, for variables, and as a literal. A form that does not exist is
// empty: JSON has no enum values, and a variable cannot be the value of a variable.
type inputValue struct{ json, literal string }

// same returns a value whose two forms are equal.
func same(text string) inputValue { return inputValue{text, text} }

// inputSchema generates values and documents from schema.graphql.
type inputSchema struct{ *ast.Schema }

func loadInputSchema(t testing.TB) inputSchema {
	t.Helper()
	text, err := os.ReadFile("../../../schema.graphql")
	require.NoError(t, err)
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: string(text)})
	require.NoError(t, err)
	return inputSchema{schema}
}

// good returns a value that a type accepts.
func (s inputSchema) good(inputType *ast.Type) inputValue {
	definition := s.Types[inputType.Name()]
	switch {
	case inputType.Elem != nil:
		return s.good(inputType.Elem).inList()
	case definition.Kind == ast.InputObject:
		return s.object(definition, "", inputValue{})
	case definition.Kind == ast.Enum:
		name := definition.EnumValues[0].Name
		return inputValue{`"` + name + `"`, name}
	}
	return same(map[string]string{
		"Int": `5`, "String": `"good"`, "ID": `"cust_good"`, "Boolean": `true`, "DateTime": `"2026-01-31T09:30:00Z"`,
	}[definition.Name])
}

// object returns an input object with its required fields, and with one field set to a value.
func (s inputSchema) object(definition *ast.Definition, field string, value inputValue) inputValue {
	var jsonFields, literalFields []string
	for _, f := range definition.Fields {
		set := value
		switch {
		case f.Name == field:
		case f.Type.NonNull && f.DefaultValue == nil:
			set = s.good(f.Type)
		default:
			continue
		}
		jsonFields = append(jsonFields, `"`+f.Name+`":`+set.json)
		literalFields = append(literalFields, f.Name+":"+set.literal)
	}
	return inputValue{"{" + strings.Join(jsonFields, ",") + "}", "{" + strings.Join(literalFields, ",") + "}"}
}

// inputPosition is a place that takes a value: an argument, or a field or an element inside its
// value.
type inputPosition struct {
	name      string
	isQuery   bool
	field     string                        // the argument or input field that errors name
	inputType *ast.Type                     // of the position
	argument  *ast.Type                     // of the argument
	use       func(argument string) string  // a selection that passes the argument
	within    func(v inputValue) inputValue // the argument's value with v at the position
}

// positions returns every input position in the arguments of root fields and of the directives that
// clients may use.
func (s inputSchema) positions() (all []inputPosition) {
	for _, root := range []*ast.Definition{s.Query, s.Mutation} {
		for _, field := range root.Fields {
			for _, argument := range field.Arguments {
				use := func(value string) string { return "bad:" + s.call(field, argument.Name, value) }
				all = append(all, s.inside(argumentPosition(field.Name, argument, root == s.Query, use))...)
			}
		}
	}
	for _, directive := range []string{"skip", "include", "defer"} {
		for _, argument := range s.Directives[directive].Arguments {
			directed := func(value string) string { return "...@" + directive + "(" + argument.Name + ":" + value + ")" }
			all = append(all, argumentPosition("@"+directive, argument, true, func(value string) string {
				return "merchant{id " + directed(value) + "{name}}"
			}), argumentPosition("@"+directive+" in a mutation", argument, false, func(value string) string {
				return `bad:createCustomer(input:{email:"b@example.com"}){customer{id ` + directed(value) + "{name}}}"
			}))
		}
	}
	return all
}

func argumentPosition(
	of string, argument *ast.ArgumentDefinition, isQuery bool, use func(string) string,
) inputPosition {
	return inputPosition{
		name: of + "." + argument.Name, isQuery: isQuery, field: argument.Name,
		inputType: argument.Type, argument: argument.Type,
		use: use, within: func(v inputValue) inputValue { return v },
	}
}

// inside returns a position and all positions in it.
func (s inputSchema) inside(p inputPosition) []inputPosition {
	all := []inputPosition{p}
	definition := s.Types[p.inputType.Name()]
	switch {
	case p.inputType.Elem != nil:
		element := p
		element.name += "[]"
		element.inputType = p.inputType.Elem
		element.within = func(v inputValue) inputValue {
			good := s.good(p.inputType.Elem)
			return p.within(inputValue{good.json + "," + v.json, good.literal + "," + v.literal}.inList())
		}
		all = append(all, s.inside(element)...)
	case definition.Kind == ast.InputObject:
		for _, f := range definition.Fields {
			inner := p
			inner.name += "." + f.Name
			inner.field, inner.inputType = f.Name, f.Type
			inner.within = func(v inputValue) inputValue { return p.within(s.object(definition, f.Name, v)) }
			all = append(all, s.inside(inner)...)
		}
	}
	return all
}

// call returns the selection of a root field, with one argument set to a value.
func (s inputSchema) call(field *ast.FieldDefinition, argument, value string) string {
	var arguments []string
	for _, a := range field.Arguments {
		switch {
		case a.Name == argument:
			arguments = append(arguments, a.Name+":"+value)
		case a.Type.NonNull:
			arguments = append(arguments, a.Name+":"+s.good(a.Type).literal)
		}
	}
	return field.Name + "(" + strings.Join(arguments, ",") + "){__typename}"
}

// wrong returns values that a type does not accept.
func (s inputSchema) wrong(inputType *ast.Type) (all []inputValue) {
	if inputType.NonNull {
		all = append(all, same("null"))
	}
	good := s.good(inputType)
	all = append(all, good.inList())
	definition := s.Types[inputType.Name()]
	switch {
	case inputType.Elem != nil:
		for _, element := range s.wrong(inputType.Elem) {
			if element != same("null") && element != good { // a list of elements is valid here
				all = append(all, element)
			}
		}
		return all
	case definition.Kind == ast.InputObject:
		empty := s.object(definition, "", inputValue{})
		all = append(all, empty.with("nope"), empty.with("__typename"))
		if empty != same("{}") {
			all = append(all, same("{}")) // lacks the required fields
		}
	case definition.Kind == ast.Enum:
		name := definition.EnumValues[0].Name
		all = append(all, inputValue{"", `"` + name + `"`}, inputValue{"", strings.ToLower(name)})
		all = append(all, inputValue{`"` + strings.ToLower(name) + `"`, ""})
	default:
		all = append(all, wrongScalars[definition.Name]...)
	}
	if definition.Kind != ast.InputObject {
		all = append(all, same("{}"), inputValue{`{"a":1}`, `{a:1}`}, same(`["a",["b"]]`))
	}
	all = append(all, same("1.5"), inputValue{"-1e400", ""})
	for _, other := range []struct {
		accepting string // the scalars that accept the value
		value     inputValue
	}{
		{"Int ID", same("5")}, {"String ID", same(`"not as expected"`)}, {"Boolean", same("true")},
		{"", inputValue{"", "NOT_AN_ENUM_VALUE"}},
	} {
		if !slices.Contains(strings.Fields(other.accepting), definition.Name) {
			all = append(all, other.value)
		}
	}
	return all
}

// wrongScalars are invalid values that resemble values of the scalar.
var wrongScalars = map[string][]inputValue{
	"Int": {
		same("2147483648"), same("-2147483649"), same("9223372036854775808"), same(`"5"`), same(`""`),
		{"", `"""5"""`}, {"", "1e400"},
	},
	"Boolean": {same("0"), same("1"), same(`"true"`), {"", "TRUE"}},
	"DateTime": {
		same(`""`), same(`"2026-01-31"`), same(`"2026-02-30T00:00:00Z"`), same(`"2026-01-31T09:30:00"`),
		same(`"2026-01-31 09:30:00Z"`),
	},
}

// inList returns a list of the value.
func (v inputValue) inList() inputValue { return inputValue{"[" + v.json + "]", "[" + v.literal + "]"} }

// with adds a field to an input object.
func (v inputValue) with(field string) inputValue {
	add := func(object, name string) string {
		return strings.Replace(strings.TrimSuffix(object, "}")+","+name+`:"x"}`, "{,", "{", 1)
	}
	return inputValue{add(v.json, `"`+field+`"`), add(v.literal, field)}
}
