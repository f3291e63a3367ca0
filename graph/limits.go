package graph

import (
	"fmt"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"lumen/store"
)

// Limits bound what one request may ask for. They are checked before anything is executed, in time linear in the
// request: a fragment is looked at once, however often it is spread, and counts as often.
type Limits struct {
	// Body is the largest body that is read, in octets.
	Body int
	// Tokens is how many a document may have.
	Tokens int
	// Depth is how deep selections may nest, those of fragments included; and values, in a document or in variables.
	Depth, ValueDepth int
	// Fields, Aliases and Directives are how many an operation may have, fragments spread out.
	Fields, Aliases, Directives int
	// VariablesSize is the largest text of the variables, in octets.
	VariablesSize int
	// IDs is how many ids one list may have.
	IDs int
	// Errors is how many errors a reply lists.
	Errors int
	// Cost is what an operation may cost; see cost.go for what things cost.
	Cost int
}

// DefaultLimits are wide enough for two full pages, for thirty lookups in one operation and for the introspection query.
var DefaultLimits = Limits{
	Body: 64 << 10, Tokens: 2000, Depth: 20, ValueDepth: 10, Fields: 1000, Aliases: 30, Directives: 50,
	VariablesSize: 32 << 10, IDs: store.MaxPageSize, Errors: 10, Cost: 10_000,
}

// exceeded is the refusal of a request that is beyond a limit.
func exceeded(what string, limit int) *gqlerror.Error {
	return refusal(limitExceeded, fmt.Sprintf("%s: the limit is %d", what, limit))
}

// first returns as many of the errors as a reply lists. Where there are more, the last one says so.
func (l Limits) first(list gqlerror.List) gqlerror.List {
	if len(list) <= l.Errors {
		return list
	}
	return append(slices.Clone(list[:l.Errors-1]), exceeded("there are more errors than a reply lists", l.Errors))
}

// check returns why a document is beyond the limits, nil when it is not. The document need not be valid: this comes
// before validation, whose time grows faster than the document does.
func (l Limits) check(document *ast.QueryDocument) *gqlerror.Error {
	m := measuring{fragments: make(map[string]*ast.FragmentDefinition, len(document.Fragments)), known: make(map[string]shape)}
	for _, fragment := range document.Fragments {
		m.fragments[fragment.Name] = fragment
	}
	for _, operation := range document.Operations {
		size := m.selections(operation.SelectionSet).plus(m.directives(operation.Directives))
		for _, variable := range operation.VariableDefinitions {
			size = size.plus(m.directives(variable.Directives))
			size.valueDepth = max(size.valueDepth, valueDepth(variable.DefaultValue))
		}
		if err := l.exceededBy(size); err != nil {
			return err
		}
	}
	// Those that nothing spreads are validated as well.
	for _, fragment := range document.Fragments {
		if err := l.exceededBy(m.selections(fragment.SelectionSet).plus(m.directives(fragment.Directives))); err != nil {
			return err
		}
	}
	return nil
}

func (l Limits) exceededBy(size shape) *gqlerror.Error {
	switch {
	case size.depth > l.Depth:
		return exceeded("the selections nest too deep", l.Depth)
	case size.fields > l.Fields:
		return exceeded("too many fields", l.Fields)
	case size.aliases > l.Aliases:
		return exceeded("too many aliases", l.Aliases)
	case size.aliasLength > longestAlias:
		return exceeded("an alias is too long", longestAlias)
	case size.directives > l.Directives:
		return exceeded("too many directives", l.Directives)
	case size.valueDepth > l.ValueDepth:
		return exceeded("a value nests too deep", l.ValueDepth)
	}
	return nil
}

// shape is the size of a selection with its fragments spread out.
type shape struct {
	fields, aliases, directives, depth, valueDepth, aliasLength int

	// here are the fields of the selection itself and of the inline fragments in it, inlined those of the latter.
	here, inlined int
}

// longestAlias is how long an alias may be, in octets: it stands in the data, and in the path of an error.
const longestAlias = 255

// enough is more than any limit. Sums stop there: nested fragments can stand for more fields than an int can count.
const enough = 1 << 30

func (s shape) plus(other shape) shape {
	return shape{
		fields:      min(s.fields+other.fields, enough),
		aliases:     min(s.aliases+other.aliases, enough),
		directives:  min(s.directives+other.directives, enough),
		depth:       max(s.depth, other.depth),
		valueDepth:  max(s.valueDepth, other.valueDepth),
		aliasLength: max(s.aliasLength, other.aliasLength),
		here:        s.here + other.here,
		inlined:     s.inlined + other.inlined,
	}
}

// measuring measures one document.
type measuring struct {
	fragments map[string]*ast.FragmentDefinition
	known     map[string]shape // by the name of the fragment
}

func (m measuring) selections(set ast.SelectionSet) shape {
	var sum shape
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			sum = sum.plus(m.field(s))
		case *ast.InlineFragment:
			sum = sum.plus(m.inlineFragment(s)).plus(m.directives(s.Directives))
		case *ast.FragmentSpread:
			sum = sum.plus(m.fragment(s.Name)).plus(m.directives(s.Directives))
		}
	}
	if len(set) > 0 {
		sum.depth++
	}
	return sum
}

func (m measuring) field(f *ast.Field) shape {
	size := m.selections(f.SelectionSet).plus(m.directives(f.Directives))
	size.fields++
	size.here, size.inlined = 1, 0
	if f.Alias != f.Name {
		size.aliases++
		size.aliasLength = max(size.aliasLength, len(f.Alias))
	}
	for _, argument := range f.Arguments {
		size.valueDepth = max(size.valueDepth, valueDepth(argument.Value))
	}
	return size
}

// inlineFragment counts the fields of inline fragments in inline fragments once more for each: as often, validation
// compares them with each other.
func (m measuring) inlineFragment(f *ast.InlineFragment) shape {
	size := m.selections(f.SelectionSet)
	size.fields += size.inlined
	size.inlined = size.here
	return size
}

// fragment returns the size of a fragment, nothing for one that is not there or is part of itself: validation refuses
// both.
func (m measuring) fragment(name string) shape {
	size, ok := m.known[name]
	if definition := m.fragments[name]; !ok && definition != nil {
		m.known[name] = shape{}
		size = m.selections(definition.SelectionSet)
		size.here, size.inlined = 0, 0
		m.known[name] = size
	}
	return size
}

func (m measuring) directives(list ast.DirectiveList) shape {
	size := shape{directives: len(list)}
	for _, directive := range list {
		for _, argument := range directive.Arguments {
			size.valueDepth = max(size.valueDepth, valueDepth(argument.Value))
		}
	}
	return size
}

// valueDepth is how deep the lists and objects of a value nest.
func valueDepth(value *ast.Value) int {
	if value == nil || value.Kind != ast.ListValue && value.Kind != ast.ObjectValue {
		return 0
	}
	deepest := 0
	for _, child := range value.Children {
		deepest = max(deepest, valueDepth(child.Value))
	}
	return deepest + 1
}

// checkVariables returns why the variables of a request are beyond the limits, nil when they are not.
func (l Limits) checkVariables(r *request) *gqlerror.Error {
	switch {
	case r.variablesSize > l.VariablesSize:
		return exceeded("the variables are too large", l.VariablesSize)
	case jsonDepth(r.variables) > l.ValueDepth+1: // the object that holds them does not count
		return exceeded("a variable nests too deep", l.ValueDepth)
	}
	return nil
}

// jsonDepth is valueDepth for a value that was read from JSON.
func jsonDepth(value any) int {
	deepest := 0
	switch value := value.(type) {
	case []any:
		for _, child := range value {
			deepest = max(deepest, jsonDepth(child))
		}
	case map[string]any:
		for _, child := range value {
			deepest = max(deepest, jsonDepth(child))
		}
	default:
		return 0
	}
	return deepest + 1
}
