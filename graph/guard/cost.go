package guard

import (
	"math"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"lumen/store"
)

// The cost of an operation is known before it runs. Each field costs its price times the number of
// times it can appear in the reply. A list counts with its greatest possible length: a page with
// the length that the client asks for, objects by id with the number of ids. @skip, @include and
// pages with fewer rows do not lower the cost.

// listLength is the assumed length of a list of unknown length, such as a list of user errors.
const listLength = 10

// Costs computes the costs of operations on one schema.
type Costs struct {
	prices  map[[2]string]float64 // by type and field
	lengths map[[2]string]length  // of introspection, by type and field
}

// NewCosts returns the costs for a schema. A field costs the price of its kind, unless a table
// gives it another one, under its type and field as in "Type.field". A later table overrides an
// earlier one. A root field of unknown kind that is in no table is an error.
func NewCosts(schema *ast.Schema, tables ...map[string]int) (*Costs, error) {
	prices, err := fieldPrices(schema, tables)
	if err != nil {
		return nil, err
	}
	return &Costs{prices: prices, lengths: introspectionLengths(schema)}, nil
}

// length is the greatest and the average length of a list.
type length struct{ longest, average float64 }

// introspectionLengths returns the lengths of the lists that introspection returns.
func introspectionLengths(schema *ast.Schema) map[[2]string]length {
	lengths := map[[2]string]length{
		// ofType is not a list, but about every second type wraps another type.
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

// of returns the cost of a valid operation with these variables. It also returns a field that has
// more ids than maxIDs, or nil.
func (c *Costs) of(operation *ast.OperationDefinition, variables map[string]any, maxIDs int) (int, *ast.Field) {
	adding := costing{Costs: c, variables: variables, maxIDs: maxIDs, known: make(map[string]price)}
	return int(min(math.Ceil(adding.selections(operation.SelectionSet).once), saturated)), adding.tooMany
}

// minCost returns the cost of the cheapest operation of a document, without variables. Pages then
// have their default length, and lists of ids in variables have listLength.
func (c *Costs) minCost(d *Document) int {
	cheapest := saturated
	for _, operation := range d.tree.Operations {
		cost, _ := c.of(operation, nil, saturated)
		cheapest = min(cheapest, cost)
	}
	return cheapest
}

// price is the cost of a selection: once, and for each element of the page around it. typical is
// its cost in a list of all types of the schema, with lists of average length.
type price struct{ once, each, typical float64 }

// costing computes the cost of one operation.
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
	base, known := c.prices[name]
	if !known { // __typename
		base = 1
	}
	if c.argument(f, "asOf") != nil {
		base = float64(prices[pageField]) // it is not read together with other objects
	}
	inner := c.selections(f.SelectionSet)
	length, isIntrospection := c.lengths[name]
	cost := price{once: base + inner.once, typical: base + inner.typical}
	switch isList := f.Definition.Type.Elem != nil; {
	case name == [2]string{"__Schema", "types"}:
		cost.once = base + length.longest*inner.typical
	case isIntrospection:
		cost = price{once: base + length.longest*inner.once, typical: base + length.average*inner.typical}
	case isConnection(f.Definition.Type.Name()):
		cost.once = base + c.searchCost(f) + inner.once + c.pageSize(f)*inner.each
	case isList && isConnection(f.ObjectDefinition.Name):
		cost = price{each: base + inner.once}
	case isList && len(f.SelectionSet) > 0:
		cost.once = base + c.listLength(f)*(1+inner.once)
	}
	return cost
}

// pageSize returns the greatest number of elements of a page. A size out of range is refused later.
func (c *costing) pageSize(f *ast.Field) float64 {
	for _, name := range []string{"first", "last"} {
		if n, ok := c.argument(f, name).(int64); ok {
			return float64(min(max(n, 1), store.MaxPageSize))
		}
	}
	return store.DefaultPageSize
}

// searchCost returns the cost of the search in the filter of a page, or 0 without a search.
func (c *costing) searchCost(f *ast.Field) float64 {
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

// argument returns the value of an argument, or nil if it is absent or unreadable.
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
