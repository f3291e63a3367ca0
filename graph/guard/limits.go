package guard

import (
	"fmt"
	"maps"
	"slices"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"lumen/store"
)

// Limits bound what one request may ask for. They are checked before anything is executed, in time
// linear in the size of the request.
type Limits struct {
	// Body is the largest body that is read, in octets.
	Body int
	// Tokens is how many tokens a document may have.
	Tokens int
	// Depth is how deep selections may nest, including those of fragments. ValueDepth is how deep values
	// may nest, in a document or in variables.
	Depth, ValueDepth int
	// Fields, Aliases and Directives are how many an operation or a fragment may have, including the
	// fragments that it spreads. A spread counts as a field.
	Fields, Aliases, Directives int
	// VariablesSize is the largest text of the variables, in octets.
	VariablesSize int
	// IDs is how many ids one list may have.
	IDs int
	// Errors is how many errors a reply lists.
	Errors int
	// Cost is what an operation may cost. See prices.go for what fields cost.
	Cost int
}

// DefaultLimits are wide enough for two full pages with all fields, for 30 lookups in one operation and
// for the introspection query.
var DefaultLimits = Limits{
	Body: 64 << 10, Tokens: 2000, Depth: 20, ValueDepth: 10, Fields: 1000, Aliases: 30, Directives: 50,
	VariablesSize: 32 << 10, IDs: store.MaxPageSize, Errors: 10, Cost: 25_000,
}

// overLimit returns the refusal of a request that is over a limit.
func overLimit(what string, limit int) *gqlerror.Error {
	return Refusal(LimitExceeded, fmt.Sprintf("%s: the limit is %d", what, limit))
}

// First returns as many of the errors as a reply lists. If there are more, the last one says so.
// Errors that say the same count as one.
func (l Limits) First(list gqlerror.List) gqlerror.List {
	list = merge(list)
	if len(list) <= l.Errors || l.Errors == 1 {
		return list[:min(len(list), l.Errors)]
	}
	return append(slices.Clone(list[:l.Errors-1]), overLimit("there are more errors than a reply lists", l.Errors))
}

// countExtension is the extension of an error that says how often a reply would have repeated it.
const countExtension = "count"

// merge returns the errors without those that differ from another in their place alone. Of these it
// keeps the one whose path sorts first as text, as fields fail in any order.
func merge(list gqlerror.List) gqlerror.List {
	var merged gqlerror.List
	at := make(map[string]int, len(list))
	count := make([]int, 0, len(list))
	for _, err := range list {
		says := fmt.Sprint(err.Message, err.Extensions) // Sprint sorts the keys of maps.
		i, again := at[says]
		switch {
		case !again:
			at[says] = len(merged)
			merged, count = append(merged, err), append(count, 1)
			continue
		case err.Path.String() < merged[i].Path.String():
			merged[i] = err
		}
		count[i]++
	}
	for i, err := range merged {
		if count[i] > 1 {
			counted := *err
			counted.Extensions = map[string]any{countExtension: count[i]}
			maps.Copy(counted.Extensions, err.Extensions)
			merged[i] = &counted
		}
	}
	return merged
}

// check returns the refusal of a document that is over a limit, else nil. It runs before validation,
// whose time grows faster than the document does, so the document need not be valid.
func (l Limits) check(document *measured) *gqlerror.Error {
	var all shape
	for _, definition := range document.definitions {
		if err := l.exceededBy(definition); err != nil {
			return err
		}
		all = all.plus(definition)
	}
	// Validation visits each operation and each fragment by itself.
	if most := 2 * l.Fields; all.fields > most {
		return overLimit("too many fields in all operations and fragments", most)
	}
	return nil
}

func (l Limits) exceededBy(size shape) *gqlerror.Error {
	switch {
	case size.depth > l.Depth:
		return overLimit("the selections nest too deep", l.Depth)
	case size.fields > l.Fields:
		return overLimit("too many fields", l.Fields)
	case size.aliases > l.Aliases:
		return overLimit("too many aliases", l.Aliases)
	case size.aliasLength > MaxName:
		return overLimit("an alias is too long", MaxName)
	case size.directives > l.Directives:
		return overLimit("too many directives", l.Directives)
	case size.valueDepth > l.ValueDepth:
		return overLimit("a value nests too deep", l.ValueDepth)
	}
	return nil
}

// CheckVariables returns the refusal of a request whose variables are over a limit, else nil.
func (l Limits) CheckVariables(r *Request) *gqlerror.Error {
	switch {
	case r.VariablesSize > l.VariablesSize:
		return overLimit("the variables are too large", l.VariablesSize)
	case jsonDepth(r.Variables) > l.ValueDepth+1: // the object that holds them does not count
		return overLimit("a variable nests too deep", l.ValueDepth)
	}
	return nil
}
