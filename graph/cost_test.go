package graph

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/graph/guard"
)

// Every root field of the schema has a price, by its kind or in fieldCosts.
func TestEveryRootFieldHasAPrice(t *testing.T) {
	t.Parallel()
	_, err := guard.NewCosts(schema(), fieldCosts)
	require.NoError(t, err)
	require.NoError(t, CheckFieldCosts(fieldCosts), "the costs are of fields that there are")
}

func TestCostIsTold(t *testing.T) {
	t.Parallel()
	door := newDoor(t)
	reply := decode(t, ask(door, bodyOf(t, `{merchant{id name}}`, "")))
	require.Equal(t, 3, reply.Extensions.Cost.Requested)
	require.Equal(t, guard.DefaultLimits.Cost, reply.Extensions.Cost.Limit)

	const wide = `{edges{cursor node{id email name userId taxId createdAt updatedAt}} nodes{id email name userId taxId createdAt updatedAt}} `
	reply = decode(t, ask(door, bodyOf(t, `{a:customers(first:250)`+wide+`b:customers(first:250)`+wide+`c:customers(last:250)`+wide+`d:customers(last:250)`+wide+`e:customers(last:250)`+wide+`}`, "")))
	require.Equal(t, guard.LimitExceeded, reply.Errors[0].Extensions.Code)
	require.Greater(t, reply.Extensions.Cost.Requested, guard.DefaultLimits.Cost)

	require.Nil(t, decode(t, ask(door, bodyOf(t, `{nope}`, ""))).Extensions.Cost, "what is no operation has no cost")
}
