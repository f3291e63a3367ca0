package guard

import (
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// shape is the size of a selection, including the fragments that it spreads.
type shape struct {
	fields, aliases, directives, depth, valueDepth, aliasLength int

	// direct counts the fields of the selection itself and of the inline fragments in it. inlined
	// counts only the fields of the inline fragments.
	direct, inlined int
}

// saturated caps sums so they cannot overflow: nested fragments can stand for more fields than an
// int can count. It is more than any limit.
const saturated = 1 << 30

func (s shape) plus(other shape) shape {
	return shape{
		fields:      min(s.fields+other.fields, saturated),
		aliases:     min(s.aliases+other.aliases, saturated),
		directives:  min(s.directives+other.directives, saturated),
		depth:       max(s.depth, other.depth),
		valueDepth:  max(s.valueDepth, other.valueDepth),
		aliasLength: max(s.aliasLength, other.aliasLength),
		direct:      s.direct + other.direct,
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

// measure returns the sizes of the parts of a document. It visits each part once, no matter how
// many fragments spread it, so its time is linear in the length of the document.
func measure(document *ast.QueryDocument) *measured {
	m := &measured{
		known:     make(map[string]shape),
		fragments: make(map[string]*ast.FragmentDefinition, len(document.Fragments)),
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
		size := m.selections(fragment.SelectionSet).plus(m.directives(fragment.Directives))
		m.definitions = append(m.definitions, size)
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
	size.direct, size.inlined = 1, 0
	if f.Alias != f.Name {
		size.aliases++
		size.aliasLength = max(size.aliasLength, len(f.Alias))
	}
	for _, argument := range f.Arguments {
		size.valueDepth = max(size.valueDepth, valueDepth(argument.Value))
	}
	return size
}

// inlineFragment counts the fields of a nested inline fragment once more for each fragment around
// it, because validation compares them with each other that often.
func (m *measured) inlineFragment(f *ast.InlineFragment) shape {
	size := m.selections(f.SelectionSet)
	size.fields += size.inlined
	size.inlined = size.direct
	return size
}

// spread returns the size of a spread and its fragment. The spread itself counts as a field,
// because validation compares spreads as well. A fragment that contains itself counts as empty:
// validation refuses it later.
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
		size.direct, size.inlined = 0, 0
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

// holdsString reports whether a document can contain a string. A client can write data into a
// string, such as the email address of a customer. If such documents were cached, a fast reply
// would tell a merchant that another merchant has sent the same data. Every string begins with a
// quote, so a document with any quote, even in a comment, counts.
func holdsString(text string) bool { return strings.Contains(text, `"`) }

// valueDepth returns the depth to which lists and objects of a value nest: 0 for other values.
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
