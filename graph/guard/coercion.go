package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"

	"lumen/store"
)

// This file coerces every value of a request before any field runs, as sections 5.6.1 and 6.1.2 of
// the GraphQL specification demand. gqlgen coerces the arguments of a field when the field runs:
// one bad value would fail a mutation after earlier mutations of the operation were committed. The
// literals of a document are coerced once, when it is parsed. Variables are coerced for each
// request.

// variableUse describes how one operation uses a variable.
type variableUse struct {
	field   string // the first argument or input field with the variable, by its name in the schema
	nonNull bool   // whether one of them refuses null
}

// variableUses holds the uses of the variables of a document, by operation and variable.
type variableUses map[*ast.OperationDefinition]map[string]variableUse

// literalCheck coerces the literals of a valid document and records the uses of its variables.
type literalCheck struct {
	coerceLeaf
	uses   variableUses
	faults gqlerror.List
	faulty map[*ast.Value]bool // literals in faults; several operations can reach one in a fragment
}

// checkLiterals returns the uses of the variables of a valid document, and the faults of its
// literals: those in arguments of fields and directives, and those in default values of variables.
func checkLiterals(schema Schema, tree *ast.QueryDocument) (variableUses, gqlerror.List) {
	check := literalCheck{
		coerceLeaf: schema.Coerce,
		uses:       make(variableUses, len(tree.Operations)),
		faulty:     make(map[*ast.Value]bool),
	}
	var events core.Events
	events.OnField(func(w *core.Walker, field *ast.Field) {
		check.arguments(w.CurrentOperation, field.Arguments)
	})
	events.OnDirective(func(w *core.Walker, directive *ast.Directive) {
		check.arguments(w.CurrentOperation, directive.Arguments)
	})
	// The walker reports an operation after all of its parts, so the uses are complete here.
	events.OnOperation(func(_ *core.Walker, operation *ast.OperationDefinition) {
		for _, variable := range operation.VariableDefinitions {
			if variable.DefaultValue != nil {
				use := check.uses[operation][variable.Variable]
				check.value(operation, use.field, variable.DefaultValue)
			}
		}
	})
	validator.Walk(schema.Schema, tree, &events)
	return check.uses, check.faults
}

// arguments checks arguments that an operation reaches. The walker also visits each fragment
// outside of any operation. That visit finds nothing new: validation refuses fragments that no
// operation spreads.
func (c *literalCheck) arguments(operation *ast.OperationDefinition, arguments ast.ArgumentList) {
	if operation == nil {
		return
	}
	for _, argument := range arguments {
		c.value(operation, argument.Name, argument.Value)
	}
}

// value checks the value of the argument or input field with this name. Validation has set its type
// and has checked nulls.
func (c *literalCheck) value(operation *ast.OperationDefinition, field string, value *ast.Value) {
	isList := value.Kind == ast.ListValue && value.ExpectedType.Elem != nil
	switch {
	case value.Kind == ast.NullValue:
	case value.Kind == ast.Variable:
		c.use(operation, field, value)
	case isList, value.Definition.Kind == ast.InputObject:
		for _, child := range value.Children {
			c.value(operation, cmp.Or(child.Name, field), child.Value) // list elements have no name
		}
	default:
		c.leaf(field, value)
	}
}

// use records that an operation uses a variable.
func (c *literalCheck) use(operation *ast.OperationDefinition, field string, value *ast.Value) {
	if c.uses[operation] == nil {
		c.uses[operation] = make(map[string]variableUse, len(operation.VariableDefinitions))
	}
	earlier := c.uses[operation][value.Raw]
	c.uses[operation][value.Raw] = variableUse{
		field:   cmp.Or(earlier.field, field),
		nonNull: earlier.nonNull || value.ExpectedType.NonNull,
	}
}

// leaf checks a literal where an enum or a scalar is expected.
func (c *literalCheck) leaf(field string, value *ast.Value) {
	literal, _ := value.Value(nil) // An error is a number too large for Go, which is refused.
	fault := c.fault(value.Definition, field, literal)
	if fault == nil || c.faulty[value] {
		return
	}
	fault.Locations = []gqlerror.Location{{Line: value.Position.Line, Column: value.Position.Column}}
	c.faults = append(c.faults, fault)
	c.faulty[value] = true
}

// coerceLeaf is the type of Schema.Coerce, which checks a value of an enum or a scalar.
type coerceLeaf func(inputType *ast.Definition, value any) error

// fault returns the fault of a value that an enum or a scalar does not accept, or nil. The fault
// names the argument or input field and never repeats the value.
func (coerce coerceLeaf) fault(inputType *ast.Definition, field string, value any) *gqlerror.Error {
	err := coerce(inputType, value)
	if err == nil {
		return nil
	}
	var wrongType *gqlerror.Error
	if errors.As(err, &wrongType) {
		return Refusal(errcode.ValidationFailed, fmt.Sprintf("%s for %q", wrongType.Message, field))
	}
	refused := store.AsError(err)
	for i, fault := range refused.Faults {
		refused.Faults[i] = fault.Rename(field)
	}
	// Clients see the error refused. The operator sees the message, if a trusted document has the
	// fault.
	return &gqlerror.Error{Err: refused, Message: refused.Faults[0].Message}
}

// CoerceVariables refuses an operation if the type of a variable does not accept its value.
// gqlgen's validator runs first and checks shapes, nulls and required fields, but not enums and
// scalars.
//
// CoerceVariables also refuses null in a variable that is used where null is not accepted.
// Validation accepts such an operation if the variable has a default value. gqlgen would find the
// null when the field runs, or panic when @skip or @include reads it.
type CoerceVariables struct{ Schema Schema }

var _ graphql.OperationContextMutator = CoerceVariables{}

// ExtensionName implements graphql.HandlerExtension.
func (CoerceVariables) ExtensionName() string { return "CoerceVariables" }

// Validate implements graphql.HandlerExtension.
func (CoerceVariables) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext implements graphql.OperationContextMutator.
func (c CoerceVariables) MutateOperationContext(
	ctx context.Context, operation *graphql.OperationContext,
) *gqlerror.Error {
	uses := ctx.Value(documentKey{}).(*Document).uses[operation.Operation]
	for _, variable := range operation.Operation.VariableDefinitions {
		name := variable.Variable
		value, present := operation.Variables[name]
		if present && value == nil && uses[name].nonNull {
			return Refusal(errcode.ValidationFailed, fmt.Sprintf("variable %q must not be null", name))
		}
		if fault := c.coerce(variable.Type, uses[name].field, value); fault != nil {
			fault.Path = ast.Path{ast.PathName("variable"), ast.PathName(name)}
			return fault
		}
	}
	return nil
}

// coerce returns the fault of a value that an input type does not accept, or nil. A single value
// may stand for a list.
func (c CoerceVariables) coerce(inputType *ast.Type, field string, value any) *gqlerror.Error {
	definition := c.Schema.Types[inputType.Name()]
	switch {
	case value == nil:
		return nil
	case inputType.Elem != nil:
		for _, element := range graphql.CoerceList(value) {
			if fault := c.coerce(inputType.Elem, field, element); fault != nil {
				return fault
			}
		}
		return nil
	case definition.Kind == ast.InputObject:
		return c.coerceObject(definition, value.(map[string]any))
	default:
		return coerceLeaf(c.Schema.Coerce).fault(definition, field, value)
	}
}

// coerceObject coerces the fields of an input object. It refuses __typename, the only unknown field
// that gqlgen's validator accepts.
func (c CoerceVariables) coerceObject(inputType *ast.Definition, object map[string]any) *gqlerror.Error {
	if _, present := object["__typename"]; present {
		return Refusal(errcode.ValidationFailed, "unknown field")
	}
	for _, field := range inputType.Fields {
		if fault := c.coerce(field.Type, field.Name, object[field.Name]); fault != nil {
			return fault
		}
	}
	return nil
}
