package guard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// kind says how much work a field causes. It follows from the schema, so the fields of a new noun
// have prices without a new line here.
type kind string

const (
	plainField    kind = "plain"      // written from the row of its parent
	schemaField   kind = "schema"     // the description of the whole schema
	typeField     kind = "type"       // the description of one type
	byIDField     kind = "by id"      // one object
	manyField     kind = "many by id" // a list of objects
	pageField     kind = "page"       // a page of a list
	totalField    kind = "total"      // the length of a list
	mutationField kind = "mutation"
	unknownField  kind = "unknown"
)

// prices holds the price of a field of each kind, without its selection. The prices were measured:
// one unit is about half a microsecond of processor time on the server and the database. Objects
// that one operation asks for by id share one statement. A total reads every row of the merchant;
// its price fits a merchant with 10,000 customers. Descriptions of the schema are long texts, and
// their price keeps clients from reading them many times in one operation.
var prices = map[kind]int{
	plainField:    1,
	schemaField:   2000,
	typeField:     200,
	byIDField:     15,
	manyField:     600,
	pageField:     600,
	totalField:    4400,
	mutationField: 760,
}

// searchPrice is the price that a search in the filter adds to a page, whether or not the total is
// selected. Like a total, a search reads every row of the merchant.
const searchPrice = 4400

// kindOf returns the kind of a field of a type. It is unknownField for a root field whose kind does
// not follow from the schema: such a field can run a statement and must not be as cheap as a plain
// field.
func kindOf(schema *ast.Schema, owner *ast.Definition, field *ast.FieldDefinition) kind {
	returnsPage := isConnection(field.Type.Name())
	switch {
	case owner == schema.Mutation:
		return mutationField
	case owner == schema.Query && field.Name == "__schema":
		return schemaField
	case owner == schema.Query && field.Name == "__type":
		return typeField
	case returnsPage:
		return pageField
	case isConnection(owner.Name) && field.Name == "totalCount":
		return totalField
	case owner != schema.Query && owner != schema.Subscription:
		return plainField
	case owner == schema.Subscription || !isNode(schema, field.Type.Name()):
		return unknownField
	case field.Type.Elem != nil && field.Arguments.ForName("ids") != nil:
		return manyField
	case field.Type.Elem == nil && field.Arguments.ForName("id") != nil:
		return byIDField
	}
	return unknownField
}

// isConnection reports whether a type is a connection, by the name that Relay prescribes.
func isConnection(name string) bool { return strings.HasSuffix(name, "Connection") }

// isNode reports whether a type is the interface Node of Relay or implements it.
func isNode(schema *ast.Schema, name string) bool {
	return name == "Node" || slices.Contains(schema.Types[name].Interfaces, "Node")
}

// CheckFieldCosts returns an error unless each name is a field of the schema, as in "Type.field",
// and no cost is negative.
func CheckFieldCosts(schema *ast.Schema, costs map[string]int) error {
	for name, cost := range costs {
		owner, field, _ := strings.Cut(name, ".")
		if definition := schema.Types[owner]; definition == nil || definition.Fields.ForName(field) == nil {
			return fmt.Errorf("there is no field %.64q; one looks like %s", name, exampleField(schema))
		}
		if cost < 0 {
			return fmt.Errorf("%s has a negative cost", name)
		}
	}
	return nil
}

// exampleField returns the type and the name of the first root field that is a page.
func exampleField(schema *ast.Schema) string {
	for _, field := range schema.Query.Fields {
		if isConnection(field.Type.Name()) {
			return schema.Query.Name + "." + field.Name
		}
	}
	return schema.Query.Name + ".__typename"
}

// fieldPrices returns the price of every field of a schema, by type and field. It is the price in
// the last table that has the field, else the price of the field's kind. A field of unknown kind
// that is in no table is an error.
func fieldPrices(schema *ast.Schema, tables []map[string]int) (map[[2]string]float64, error) {
	found := make(map[[2]string]float64)
	var unpriced []string
	for _, owner := range schema.Types {
		if owner.Kind != ast.Object && owner.Kind != ast.Interface {
			continue
		}
		for _, field := range owner.Fields {
			price, known := prices[kindOf(schema, owner, field)]
			for _, table := range tables {
				if cost, named := table[owner.Name+"."+field.Name]; named {
					price, known = cost, true
				}
			}
			if !known {
				unpriced = append(unpriced, owner.Name+"."+field.Name)
			}
			found[[2]string{owner.Name, field.Name}] = float64(price)
		}
	}
	if len(unpriced) > 0 {
		slices.Sort(unpriced)
		return nil, fmt.Errorf("no price is known for %s", strings.Join(unpriced, ", "))
	}
	return found, nil
}
