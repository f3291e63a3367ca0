package guard

import (
	"math"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/store"
)

// The cost of an operation is known before it runs. Each field costs its price, as often as it can
// appear in the reply. A list counts with its longest length: a page with the length that the client
// asks for, objects by id with the number of ids. Neither @skip and @include nor pages that turn out
// short lower the cost.

// listLength is the length of a list of unknown length, such as that of user errors.
const listLength = 10

// Costs computes what operations on one schema cost.
type Costs struct {
	prices  map[[2]string]float64 // by type and field
	lengths map[[2]string]length  // of introspection, by type and field
}

// NewCosts returns what operations on a schema cost. Each table holds what fields cost, by type and
// field as in "Type.field", instead of the price of their kind. A later table overrides an earlier
// one. A root field with neither a known kind nor a place in a table is an error.
func NewCosts(schema *ast.Schema, tables ...map[string]int) (*Costs, error) {
	prices, err := fieldPrices(schema, tables)
	if err != nil {
		return nil, err
	}
	return &Costs{prices: prices, lengths: introspectionLengths(schema)}, nil
}

// length holds how long a list is at most, and on average.
type length struct{ longest, average float64 }

// introspectionLengths returns the lengths of the lists of introspection.
func introspectionLengths(schema *ast.Schema) map[[2]string]length {
	lengths := map[[2]string]length{
		// Not a list, but about every second type wraps another.
		{"__Type", "ofType"}: {1, 0.5},
	}
	counts := make(map[[2]string]float64)
	count := func(owner, field string, n int) {
		name := [2]string{owner, field}
		l := lengths[name]
		counts[name]++
		lengths[name] = length{max(l.longest, float64(n)), l.average + (float64(n)-l.average)/counts[name]}
	}
	count("__Schema", "types", len(schema.Types))
	count("__Schema", "directives", len(schema.Directives))
	for _, directive := range schema.Directives {
		count("__Directive", "args", len(directive.Arguments))
		count("__Directive", "locations", len(directive.Locations))
	}
	for name, definition := range schema.Types {
		fields, inputs := len(definition.Fields), 0
		if definition.IsInputType() {
			fields, inputs = 0, fields
		}
		count("__Type", "fields", fields)
		count("__Type", "inputFields", inputs)
		count("__Type", "enumValues", len(definition.EnumValues))
		count("__Type", "interfaces", len(definition.Interfaces))
		count("__Type", "possibleTypes", len(schema.PossibleTypes[name]))
		for _, field := range definition.Fields[:fields] {
			count("__Field", "args", len(field.Arguments))
		}
	}
	return lengths
}

// of returns the most that a valid operation with these variables can cost, and a field of it that has
// more ids than maxIDs, nil for none.
func (c *Costs) of(operation *ast.OperationDefinition, variables map[string]any, maxIDs int) (int, *ast.Field) {
	adding := costing{Costs: c, variables: variables, maxIDs: maxIDs, known: make(map[string]price)}
	return int(min(math.Ceil(adding.selections(operation.SelectionSet).once), saturated)), adding.tooMany
}

// minCost returns what the cheapest operation of a document costs without variables. Pages then have
// their default length, and lists of ids are short.
func (c *Costs) minCost(d *Document) int {
	cheapest := saturated
	for _, operation := range d.tree.Operations {
		cost, _ := c.of(operation, nil, saturated)
		cheapest = min(cheapest, cost)
	}
	return cheapest
}

// price holds what a selection costs once, and for each element of the page around it. typical is what
// it costs once in a list of all types of the schema, where lists have their average length.
type price struct{ once, each, typical float64 }

// costing adds up one operation.
type costing struct {
	*Costs
	variables map[string]any
	maxIDs    int
	tooMany   *ast.Field
	known     map[string]price // by the name of the fragment
}

func (c *costing) selections(set ast.SelectionSet) price {
	var sum price
	for _, selection := range set {
		var one price
		switch s := selection.(type) {
		case *ast.Field:
			one = c.field(s)
		case *ast.InlineFragment:
			one = c.selections(s.SelectionSet)
		case *ast.FragmentSpread:
			one = c.fragment(s)
		}
		sum.once += one.once
		sum.each += one.each
		sum.typical += one.typical
	}
	return sum
}

func (c *costing) fragment(spread *ast.FragmentSpread) price {
	cost, ok := c.known[spread.Name]
	if !ok {
		cost = c.selections(spread.Definition.SelectionSet)
		c.known[spread.Name] = cost
	}
	return cost
}

func (c *costing) field(f *ast.Field) price {
	name := [2]string{f.ObjectDefinition.Name, f.Name}
	own, known := c.prices[name]
	if !known { // __typename
		own = 1
	}
	inner := c.selections(f.SelectionSet)
	length, isIntrospection := c.lengths[name]
	cost := price{once: own + inner.once, typical: own + inner.typical}
	switch isList := f.Definition.Type.Elem != nil; {
	case name == [2]string{"__Schema", "types"}:
		cost.once = own + length.longest*inner.typical
	case isIntrospection:
		cost = price{once: own + length.longest*inner.once, typical: own + length.average*inner.typical}
	case isConnection(f.Definition.Type.Name()):
		cost.once = own + c.searching(f) + inner.once + c.pageSize(f)*inner.each
	case isList && isConnection(f.ObjectDefinition.Name):
		cost = price{each: own + inner.once}
	case isList && len(f.SelectionSet) > 0:
		cost.once = own + c.listLength(f)*(1+inner.once)
	}
	return cost
}

// pageSize returns how many elements a page can have. A size out of range is refused later.
func (c *costing) pageSize(f *ast.Field) float64 {
	for _, name := range []string{"first", "last"} {
		if n, ok := c.argument(f, name).(int64); ok {
			return float64(min(max(n, 1), store.MaxPageSize))
		}
	}
	return store.DefaultPageSize
}

// searching returns what the search in the filter of a page costs, 0 for no search.
func (c *costing) searching(f *ast.Field) float64 {
	if filter, ok := c.argument(f, "filter").(map[string]any); ok && filter["search"] != nil {
		return searchPrice
	}
	return 0
}

func (c *costing) listLength(f *ast.Field) float64 {
	argument := c.argument(f, "ids")
	if argument == nil {
		return listLength
	}
	n := len(graphql.CoerceList(argument))
	if n > c.maxIDs {
		c.tooMany = f
	}
	return float64(n)
}

// argument returns the value of an argument, nil for one that is absent or unreadable.
func (c *costing) argument(f *ast.Field, name string) any {
	argument := f.Arguments.ForName(name)
	if argument == nil {
		return nil
	}
	value, err := argument.Value.Value(c.variables)
	if err != nil {
		return nil
	}
	return value
}
