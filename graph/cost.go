package graph

import (
	"fmt"
	"math"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"lumen/graph/generated"
	"lumen/store"
)

// What an operation costs is known before it runs: each field costs what fieldCosts says, or 1, once for every time it
// can be in the reply. A list counts as long as it can be: a page as it was asked for, nodes as many as there are ids.
// Nothing is taken off for what @skip and @include leave out, nor for pages that turn out short.

// fieldCosts are the fields that cost more than to be written out, because they are a statement or a part of one. They
// were set by measuring: the unit is one to two microseconds of the server's and the database's time. Customers that one
// operation asks for by id share one statement.
var fieldCosts = map[string]int{
	"Query.customer": 15, "Query.node": 15, "Query.nodes": 15, "Query.customers": 600, "CustomerConnection.totalCount": 300,
	"Mutation.createCustomer": 300, "Mutation.updateCustomer": 300, "Mutation.deleteCustomer": 300,
}

// listLength is how long a list counts that nothing is known of, such as one of user errors.
const listLength = 10

// costs tells what operations on one schema cost.
type costs struct {
	own     map[[2]string]float64 // by type and field: what the field costs apart from what is selected in it
	lengths map[[2]string]float64 // by type and field: how long a list of the introspection is
}

// CheckFieldCosts returns an error unless each name is a field of the schema, as in "Query.customers", and no cost negative.
func CheckFieldCosts(own map[string]int) error {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	for name, cost := range own {
		owner, field, _ := strings.Cut(name, ".")
		if definition := schema.Types[owner]; definition == nil || definition.Fields.ForName(field) == nil {
			return fmt.Errorf("there is no field %.64q; one looks like Query.customers", name)
		}
		if cost < 0 {
			return fmt.Errorf("%s costs less than nothing", name)
		}
	}
	return nil
}

func newCosts(schema *ast.Schema, own map[string]int) *costs {
	c := &costs{own: make(map[[2]string]float64), lengths: introspectionLengths(schema)}
	for _, table := range []map[string]int{fieldCosts, own} {
		for name, cost := range table {
			owner, field, _ := strings.Cut(name, ".")
			c.own[[2]string{owner, field}] = float64(cost)
		}
	}
	return c
}

// introspectionLengths are how long the lists of the schema's own description are, on average over its types and fields.
func introspectionLengths(schema *ast.Schema) map[[2]string]float64 {
	var types, fields, arguments, inputs, values float64
	for _, definition := range schema.Types {
		types++
		values += float64(len(definition.EnumValues))
		if definition.IsInputType() {
			inputs += float64(len(definition.Fields))
			continue
		}
		fields += float64(len(definition.Fields))
		for _, field := range definition.Fields {
			arguments += float64(len(field.Arguments))
		}
	}
	return map[[2]string]float64{
		{"__Schema", "types"}: types, {"__Schema", "directives"}: float64(len(schema.Directives)),
		{"__Type", "fields"}: fields / types, {"__Type", "inputFields"}: inputs / types, {"__Type", "enumValues"}: values / types,
		{"__Type", "interfaces"}: 0.2, {"__Type", "possibleTypes"}: 0.2,
		{"__Field", "args"}: arguments / fields, {"__Directive", "args"}: 1, {"__Directive", "locations"}: 1,
		// Not a list, but about every second type wraps another.
		{"__Type", "ofType"}: 0.5,
	}
}

// of returns what a valid operation with these variables costs, at the most.
func (c *costs) of(operation *ast.OperationDefinition, variables map[string]any) int {
	adding := costing{costs: c, variables: variables, known: make(map[string]price)}
	return int(min(math.Ceil(adding.selections(operation.SelectionSet).once), enough))
}

// price is what a selection costs once, and for each element of the page that it is selected in.
type price struct{ once, each float64 }

// costing adds up one operation.
type costing struct {
	*costs
	variables map[string]any
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
	own, ok := c.own[name]
	if !ok {
		own = 1
	}
	inner := c.selections(f.SelectionSet)
	length, known := c.lengths[name]
	switch isList := f.Definition.Type.Elem != nil; {
	case known:
		return price{once: own + length*inner.once}
	case isConnection(f.Definition.Type.Name()):
		return price{once: own + inner.once + c.pageSize(f)*inner.each}
	case isList && isConnection(f.ObjectDefinition.Name):
		return price{each: own + inner.once}
	case isList && len(f.SelectionSet) > 0:
		return price{once: own + c.listLength(f)*(1+inner.once)}
	default:
		return price{once: own + inner.once}
	}
}

// isConnection reports whether a type is a page by its name, as the Relay specification has it.
func isConnection(name string) bool { return strings.HasSuffix(name, "Connection") }

// pageSize is how many elements a page can have. One that is out of range is refused later.
func (c *costing) pageSize(f *ast.Field) float64 {
	for _, name := range []string{"first", "last"} {
		if n, ok := c.argument(f, name).(int64); ok {
			return float64(min(max(n, 1), store.MaxPageSize))
		}
	}
	return store.DefaultPageSize
}

func (c *costing) listLength(f *ast.Field) float64 {
	switch ids := c.argument(f, "ids").(type) {
	case nil:
		return listLength
	case []any:
		return float64(len(ids))
	default: // a single value stands for a list of one
		return 1
	}
}

// argument returns the value of an argument, nil for one that is not given or can't be read.
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
