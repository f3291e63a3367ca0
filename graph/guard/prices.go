package guard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// kind says what work a field causes. The schema tells it, so a new noun's fields have their prices
// without a line written.
type kind string

const (
	plainField    kind = "plain"      // is written out from what was read for its parent
	schemaField   kind = "schema"     // describes the whole schema
	typeField     kind = "type"       // describes one type
	byIDField     kind = "by id"      // one object
	manyField     kind = "many by id" // a list of objects
	pageField     kind = "page"       // a part of a list
	totalField    kind = "total"      // the length of a list
	mutationField kind = "mutation"
	unknownField  kind = "unknown"
)

// prices holds what a field of each kind costs apart from its selection. They were set by measuring:
// the unit is about half a microsecond of the server's and the database's time. Objects that one
// operation asks for by id share one statement. A total looks at every row of the merchant; its
// price fits a merchant with ten thousand. The descriptions in the schema are long texts, so their
// price keeps clients from reading them many times over.
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

// searchPrice is what a filter with a search adds to a page, whether or not its total is selected.
// Like a total, a search looks at every row of the merchant.
const searchPrice = 4400

// kindOf returns the kind of a field of a type. It is unknownField for a root field that the schema
// says too little of: such a field can be a statement, and must not cost as little as a plain one.
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

// isConnection reports whether a type is a page by its name, as the Relay specification has it.
func isConnection(name string) bool { return strings.HasSuffix(name, "Connection") }

// isNode reports whether a type is Relay's interface Node or implements it.
func isNode(schema *ast.Schema, name string) bool {
	return name == "Node" || slices.Contains(schema.Types[name].Interfaces, "Node")
}

// CheckFieldCosts returns an error unless each name is a field of the schema, as in "Type.field", and
// no cost is negative.
func CheckFieldCosts(schema *ast.Schema, costs map[string]int) error {
	for name, cost := range costs {
		owner, field, _ := strings.Cut(name, ".")
		if definition := schema.Types[owner]; definition == nil || definition.Fields.ForName(field) == nil {
			return fmt.Errorf("there is no field %.64q; one looks like %s", name, exampleField(schema))
		}
		if cost < 0 {
			return fmt.Errorf("%s costs less than nothing", name)
		}
	}
	return nil
}

// exampleField returns the first page that clients can query, by type and field.
func exampleField(schema *ast.Schema) string {
	for _, field := range schema.Query.Fields {
		if isConnection(field.Type.Name()) {
			return schema.Query.Name + "." + field.Name
		}
	}
	return schema.Query.Name + ".__typename"
}

// fieldPrices returns the price of every field of a schema, by type and field. A field costs what
// the last of the tables says that names it, else what its kind costs. A field of unknown kind that
// no table names is an error.
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
