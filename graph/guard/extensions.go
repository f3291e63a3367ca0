package guard

import (
	"context"
	"fmt"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"lumen/store"
)

// NoIntrospection refuses operations that read the schema. gqlgen's own refusal has no code.
type NoIntrospection struct{}

var _ graphql.OperationContextMutator = NoIntrospection{}

// ExtensionName implements graphql.HandlerExtension.
func (NoIntrospection) ExtensionName() string { return "NoIntrospection" }

// Validate implements graphql.HandlerExtension.
func (NoIntrospection) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext implements graphql.OperationContextMutator.
func (NoIntrospection) MutateOperationContext(_ context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	for _, field := range graphql.CollectFields(operation, operation.Operation.SelectionSet, []string{"Query"}) {
		if field.Name == "__schema" || field.Name == "__type" {
			return Refusal(errcode.ValidationFailed, "introspection is not enabled")
		}
	}
	return nil
}

// CostLimit refuses operations that cost more than the limit or have a list with too many ids. It
// adds the cost of an operation to the extensions of the reply.
type CostLimit struct {
	Costs  *Costs
	Limits Limits
}

var (
	_ graphql.OperationContextMutator = CostLimit{}
	_ graphql.ResponseInterceptor     = CostLimit{}
)

// costStat is the key of the cost in the statistics of an operation.
const costStat = "Cost"

// ExtensionName implements graphql.HandlerExtension.
func (CostLimit) ExtensionName() string { return costStat }

// Validate implements graphql.HandlerExtension.
func (CostLimit) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext implements graphql.OperationContextMutator.
func (c CostLimit) MutateOperationContext(_ context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	cost, tooMany := c.Costs.of(operation.Operation, operation.Variables, c.Limits.IDs)
	operation.Stats.SetExtension(costStat, cost)
	switch {
	case tooMany != nil:
		fault := store.NewFault("ids", store.TooLong, fmt.Sprintf("must be at most %d ids", c.Limits.IDs))
		return gqlerror.WrapPath(ast.Path{ast.PathName(tooMany.Alias)}, store.Invalid(fault))
	case cost > c.Limits.Cost:
		return overLimit("the operation costs too much", c.Limits.Cost)
	}
	return nil
}

// Cost returns the cost of an operation, or false if it was refused before the cost was computed.
func Cost(operation *graphql.OperationContext) (int, bool) {
	cost, known := operation.Stats.GetExtension(costStat).(int)
	return cost, known
}

// CostReport is the member extensions.cost of a reply.
type CostReport struct {
	Requested int `json:"requested"`
	Limit     int `json:"limit"`
}

// InterceptResponse implements graphql.ResponseInterceptor.
func (c CostLimit) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	if graphql.HasOperationContext(ctx) {
		if cost, known := Cost(graphql.GetOperationContext(ctx)); known {
			graphql.RegisterExtension(ctx, "cost", CostReport{cost, c.Limits.Cost})
		}
	}
	return next(ctx)
}
