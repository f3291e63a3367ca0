//go:build heavy

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// TestOperationsOfHigherCostTakeLonger measures operations of every kind, from the cheapest to the
// most expensive that the limit admits. The order by cost and the order by measured time must
// agree, except between operations that take about the same time. It logs the table.
func TestOperationsOfHigherCostTakeLonger(t *testing.T) {
	d := harness.Serve(t, "--introspection")
	m := d.Merchant(t, "Cost")
	insertCustomers(t, d, m, 10_000)
	var list struct{ Customers []struct{ ID string } }
	require.NoError(t, json.Unmarshal([]byte(d.Send(t, m.ReadKey, "GET", "/api/customers?limit=250", "").Body), &list))
	ids := make([]string, len(list.Customers))
	for i := range ids {
		ids[i] = list.Customers[i].ID
	}
	lookups := func(n int, selection string) string {
		var q strings.Builder
		for i := range n {
			fmt.Fprintf(&q, "a%d:customer(id:%q)%s ", i, ids[i], selection)
		}
		return "{" + q.String() + "}"
	}
	creations := func(n int) func() string {
		return func() string {
			var q strings.Builder
			for i := range n {
				fmt.Fprintf(&q, `a%d:createCustomer(input:{email:%q}){customer{id email}} `, i, harness.FreshEmail())
			}
			return "mutation{" + q.String() + "}"
		}
	}
	introspection, err := os.ReadFile("testdata/introspection.graphql") // the one of graphql-js, with all its options
	require.NoError(t, err)
	fixed := func(q string) func() string { return func() string { return q } }
	page := func(n int) func() string {
		return fixed(fmt.Sprintf(`{customers(first:%d){edges{cursor node%s} pageInfo{hasNextPage endCursor}}}`, n, allFields))
	}

	type operation struct {
		name string
		text func() string
		cost int
		took time.Duration
	}
	table := []*operation{
		{name: "the merchant", text: fixed(`{merchant{id name}}`)},
		{name: "one customer, 1 field", text: fixed(lookups(1, `{id}`))},
		{name: "one customer, all fields", text: fixed(lookups(1, allFields))},
		{name: "30 customers by id, all fields", text: fixed(lookups(30, allFields))},
		{name: "250 nodes, all fields", text: fixed(`{nodes(ids:` + harness.JSON(t, ids) + `){...on Customer` + allFields + `}}`)},
		{name: "a page of 10", text: page(10)},
		{name: "a page of 50", text: page(50)},
		{name: "a page of 250", text: page(250)},
		{name: "a page of 250, ids alone", text: fixed(`{customers(first:250){nodes{id}}}`)},
		{name: "a page of 250, twice", text: fixed(`{customers(first:250){edges{cursor node` + allFields + `} nodes` + allFields + `}}`)},
		{name: "a search that finds nothing", text: fixed(`{customers(first:10,filter:{search:"zz zz"}){nodes{id}}}`)},
		{name: "a page of 50 and the total", text: fixed(`{customers(first:50){totalCount edges{cursor node` + allFields + `} pageInfo{hasNextPage endCursor}}}`)},
		{name: "the total alone", text: fixed(`{customers(first:1){totalCount}}`)},
		{name: "the introspection query", text: fixed(string(introspection))},
		{name: "one creation", text: creations(1)},
		{name: "10 creations", text: creations(10)},
	}
	const rounds = 60
	samples := make(map[*operation][]time.Duration)
	for round := range rounds { // interleaved, so that other load on the machine affects all operations
		for _, o := range table {
			query := o.text()
			start := time.Now()
			r := d.GraphQL(t, m.WriteKey, query, nil)
			took := time.Since(start)
			require.Equal(t, 200, r.Status, r.Body)
			require.NotContains(t, r.Body, `"errors"`)
			if round >= 10 {
				samples[o] = append(samples[o], took)
			}
			o.cost = r.Cost
		}
	}
	for o, s := range samples {
		o.took = slices.Min(s) // the time without other load
	}
	slices.SortFunc(table, func(a, b *operation) int { return a.cost - b.cost })
	agree, pairs := 0, 0
	for i, cheap := range table {
		t.Logf("%6d  %8s  %s", cheap.cost, cheap.took.Round(10*time.Microsecond), cheap.name)
		for _, dear := range table[i+1:] {
			if dear.cost < cheap.cost*2 || dear.cost < cheap.cost+200 { // of similar cost; either may be slower
				continue
			}
			pairs++
			if dear.took > cheap.took*3/4 { // the time of a creation varies with the disk
				agree++
			} else {
				t.Logf("        %s takes longer than %s, which costs more", cheap.name, dear.name)
			}
		}
	}
	t.Logf("%d of %d pairs whose costs differ by a factor of two and by 200 have the order of their times, or take about the same time", agree, pairs)
	require.Equal(t, pairs, agree)
}
