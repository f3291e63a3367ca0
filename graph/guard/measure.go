package guard

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// shape is the size of a selection with its fragments spread out.
type shape struct {
	fields, aliases, directives, depth, valueDepth, aliasLength int

	// here counts the fields of the selection itself and of the inline fragments in it. inlined counts
	// only those of the inline fragments.
	here, inlined int
}

// saturated caps sums so they cannot overflow: nested fragments can stand for more fields than an int
// can count. It is more than any limit.
const saturated = 1 << 30

func (s shape) plus(other shape) shape {
	return shape{
		fields:      min(s.fields+other.fields, saturated),
		aliases:     min(s.aliases+other.aliases, saturated),
		directives:  min(s.directives+other.directives, saturated),
		depth:       max(s.depth, other.depth),
		valueDepth:  max(s.valueDepth, other.valueDepth),
		aliasLength: max(s.aliasLength, other.aliasLength),
		here:        s.here + other.here,
		inlined:     s.inlined + other.inlined,
	}
}

// measured holds the sizes of the parts of a document.
type measured struct {
	definitions []shape             // of each operation and each fragment
	unknown     *ast.FragmentSpread // the first spread of a missing fragment; nil for none

	fragments map[string]*ast.FragmentDefinition
	known     map[string]shape // by the name of the fragment
}

// measure visits each part of a document once, however often fragments spread it.
func measure(document *ast.QueryDocument) *measured {
	m := &measured{
		known: make(map[string]shape), fragments: make(map[string]*ast.FragmentDefinition, len(document.Fragments)),
	}
	for _, fragment := range document.Fragments {
		m.fragments[fragment.Name] = fragment
	}
	for _, operation := range document.Operations {
		size := m.selections(operation.SelectionSet).plus(m.directives(operation.Directives))
		for _, variable := range operation.VariableDefinitions {
			size = size.plus(m.directives(variable.Directives))
			size.valueDepth = max(size.valueDepth, valueDepth(variable.DefaultValue))
		}
		m.definitions = append(m.definitions, size)
	}
	for _, fragment := range document.Fragments {
		m.definitions = append(m.definitions, m.selections(fragment.SelectionSet).plus(m.directives(fragment.Directives)))
	}
	return m
}

func (m *measured) selections(set ast.SelectionSet) shape {
	var sum shape
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			sum = sum.plus(m.field(s))
		case *ast.InlineFragment:
			sum = sum.plus(m.inlineFragment(s)).plus(m.directives(s.Directives))
		case *ast.FragmentSpread:
			sum = sum.plus(m.spread(s)).plus(m.directives(s.Directives))
		}
	}
	if len(set) > 0 {
		sum.depth++
	}
	return sum
}

func (m *measured) field(f *ast.Field) shape {
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

// inlineFragment counts the fields of a nested inline fragment once more for each fragment around it,
// because validation compares them with each other that often.
func (m *measured) inlineFragment(f *ast.InlineFragment) shape {
	size := m.selections(f.SelectionSet)
	size.fields += size.inlined
	size.inlined = size.here
	return size
}

// spread returns the size of a fragment and of its spread. The spread counts as a field, because
// validation compares spreads too. Validation refuses a fragment that is part of itself.
func (m *measured) spread(s *ast.FragmentSpread) shape {
	size, known := m.known[s.Name]
	definition := m.fragments[s.Name]
	switch {
	case known:
	case definition == nil:
		if m.unknown == nil {
			m.unknown = s
		}
	default:
		m.known[s.Name] = shape{}
		size = m.selections(definition.SelectionSet)
		size.here, size.inlined = 0, 0
		m.known[s.Name] = size
	}
	size.fields++
	return size
}

func (m *measured) directives(list ast.DirectiveList) shape {
	size := shape{directives: len(list)}
	for _, directive := range list {
		for _, argument := range directive.Arguments {
			size.valueDepth = max(size.valueDepth, valueDepth(argument.Value))
		}
	}
	return size
}

// holdsString reports whether a document may hold a string: a client can write a merchant's data into
// one, such as a customer's email address. If such documents were kept, a reply without the time for
// parsing would tell other merchants that somebody has sent the same data. Every string begins with a
// quote, so the test is for a quote alone: one in a comment counts as well.
func holdsString(text string) bool { return strings.Contains(text, `"`) }

// valueDepth returns how deep the lists and objects of a value nest.
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

// jsonDepth is valueDepth for a value read from JSON.
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
