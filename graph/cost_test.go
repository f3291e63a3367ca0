package graph

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/graph/guard"
)

// TestEveryRootFieldHasAPrice checks that each root field of the schema has a price, by its kind or
// in fieldCosts.
func TestEveryRootFieldHasAPrice(t *testing.T) {
	t.Parallel()
	_, err := guard.NewCosts(schema(), fieldCosts)
	require.NoError(t, err)
	require.NoError(t, CheckFieldCosts(fieldCosts), "fieldCosts names an unknown field")
}

func TestReplyHasCost(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t)
	reply := decode(t, post(handler, bodyOf(t, `{merchant{id name}}`, "")))
	require.Equal(t, 3, reply.Extensions.Cost.Requested)
	require.Equal(t, guard.DefaultLimits.Cost, reply.Extensions.Cost.Limit)

	const wide = `{edges{cursor node{id email name userId taxId createdAt updatedAt}} nodes{id email name userId taxId createdAt updatedAt}} `
	reply = decode(t, post(handler, bodyOf(t, `{a:customers(first:250)`+wide+`b:customers(first:250)`+wide+`c:customers(last:250)`+wide+`d:customers(last:250)`+wide+`e:customers(last:250)`+wide+`}`, "")))
	require.Equal(t, guard.LimitExceeded, reply.Errors[0].Extensions.Code)
	require.Greater(t, reply.Extensions.Cost.Requested, guard.DefaultLimits.Cost)

	require.Nil(t, decode(t, post(handler, bodyOf(t, `{nope}`, ""))).Extensions.Cost, "a refused document has no cost")
}
