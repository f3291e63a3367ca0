package guard

import "github.com/vektah/gqlparser/v2/ast"

// These stand in the place of a root field's name.
const (
	SeveralFields = "several"
	NoField       = "none"
)

// rootFields finds the root fields of the operations of one document, whatever @skip and @include leave
// out. It visits each fragment once, however often it is spread, and keeps what it found there.
type rootFields map[*ast.FragmentDefinition]string

func (known rootFields) of(set ast.SelectionSet) string {
	name := NoField
	for _, selection := range set {
		this := NoField
		switch s := selection.(type) {
		case *ast.Field:
			this = s.Name
		case *ast.InlineFragment:
			this = known.of(s.SelectionSet)
		case *ast.FragmentSpread:
			if _, seen := known[s.Definition]; !seen {
				known[s.Definition] = known.of(s.Definition.SelectionSet)
			}
			this = known[s.Definition]
		}
		switch name {
		case this:
		case NoField:
			name = this
		default:
			return SeveralFields
		}
	}
	return name
}
