package guard

import "github.com/vektah/gqlparser/v2/ast"

// SeveralFields and NoField replace the name of the root field of an operation that selects
// different root fields, or none.
const (
	SeveralFields = "several"
	NoField       = "none"
)

// rootFields finds the root fields of the operations of one document, including fields with @skip
// or @include. It holds the root field of each fragment, so that it visits a fragment only once.
type rootFields map[*ast.FragmentDefinition]string

func (fragments rootFields) of(set ast.SelectionSet) string {
	name := NoField
	for _, selection := range set {
		selected := NoField
		switch s := selection.(type) {
		case *ast.Field:
			selected = s.Name
		case *ast.InlineFragment:
			selected = fragments.of(s.SelectionSet)
		case *ast.FragmentSpread:
			if _, seen := fragments[s.Definition]; !seen {
				fragments[s.Definition] = fragments.of(s.Definition.SelectionSet)
			}
			selected = fragments[s.Definition]
		}
		switch name {
		case selected:
		case NoField:
			name = selected
		default:
			return SeveralFields
		}
	}
	return name
}
