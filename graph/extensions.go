package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"lumen/store"
)

// noIntrospection refuses operations that read the schema. gqlgen's own refusal comes without a code.
type noIntrospection struct{}

var _ graphql.OperationContextMutator = noIntrospection{}

// ExtensionName implements graphql.HandlerExtension.
func (noIntrospection) ExtensionName() string { return "NoIntrospection" }

// Validate implements graphql.HandlerExtension.
func (noIntrospection) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext implements graphql.OperationContextMutator.
func (noIntrospection) MutateOperationContext(_ context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	for _, field := range graphql.CollectFields(operation, operation.Operation.SelectionSet, []string{"Query"}) {
		if field.Name == "__schema" || field.Name == "__type" {
			return refusal(errcode.ValidationFailed, "introspection is not enabled")
		}
	}
	return nil
}

// costLimit refuses operations that cost more than the limit or list more ids than one list may have, and tells in the
// extensions of a reply what its operation cost.
type costLimit struct {
	costs  *costs
	limits Limits
}

var (
	_ graphql.OperationContextMutator = costLimit{}
	_ graphql.ResponseInterceptor     = costLimit{}
)

// costStat is under which name an operation's statistics hold its cost.
const costStat = "Cost"

// ExtensionName implements graphql.HandlerExtension.
func (costLimit) ExtensionName() string { return costStat }

// Validate implements graphql.HandlerExtension.
func (costLimit) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext implements graphql.OperationContextMutator.
func (c costLimit) MutateOperationContext(_ context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	cost, tooMany := c.costs.of(operation.Operation, operation.Variables, c.limits.IDs)
	operation.Stats.SetExtension(costStat, cost)
	switch {
	case tooMany != nil:
		return gqlerror.WrapPath(ast.Path{ast.PathName(tooMany.Alias)}, store.Invalid(store.NewFault("ids", store.TooLong)))
	case cost > c.limits.Cost:
		return exceeded("the operation costs too much", c.limits.Cost)
	}
	return nil
}

// costReport is what clients see as extensions.cost.
type costReport struct {
	Requested int `json:"requested"`
	Limit     int `json:"limit"`
}

// InterceptResponse implements graphql.ResponseInterceptor.
func (c costLimit) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	if graphql.HasOperationContext(ctx) {
		if cost := graphql.GetOperationContext(ctx).Stats.GetExtension(costStat); cost != nil {
			graphql.RegisterExtension(ctx, "cost", costReport{cost.(int), c.limits.Cost})
		}
	}
	return next(ctx)
}
