package guard

import (
	"fmt"
	"maps"
	"slices"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"lumen/store"
)

// Limits bound the size and the cost of one request. They are checked before anything is executed,
// in time linear in the size of the request.
type Limits struct {
	// Body limits the size of the body, in bytes.
	Body int
	// Tokens limits the tokens of a document.
	Tokens int
	// Depth limits the nesting of selections, including those of fragments. ValueDepth limits the
	// nesting of values, in a document and in variables.
	Depth, ValueDepth int
	// Fields, Aliases and Directives limit those of an operation or a fragment, including the
	// fragments that it spreads. A spread counts as a field.
	Fields, Aliases, Directives int
	// VariablesSize limits the JSON text of the variables, in bytes.
	VariablesSize int
	// IDs limits the ids in one list.
	IDs int
	// Errors limits the errors in one reply.
	Errors int
	// Cost limits the cost of an operation, in the units of prices.go.
	Cost int
}

// DefaultLimits admit two pages of 250 rows with all fields, 30 reads by id in one operation, and
// the introspection query.
var DefaultLimits = Limits{
	Body: 64 << 10, Tokens: 2000, Depth: 20, ValueDepth: 10, Fields: 1000, Aliases: 30, Directives: 50,
	VariablesSize: 32 << 10, IDs: store.MaxPageSize, Errors: 10, Cost: 25_000,
}

// overLimit returns the refusal of a request that exceeds a limit.
func overLimit(what string, limit int) *gqlerror.Error {
	return Refusal(LimitExceeded, fmt.Sprintf("%s: the limit is %d", what, limit))
}

// First returns the errors that a reply lists, at most l.Errors. If there are more, the last one
// says so. Errors that differ only in their place count as one.
func (l Limits) First(list gqlerror.List) gqlerror.List {
	list = merge(list)
	if len(list) <= l.Errors || l.Errors == 1 {
		return list[:min(len(list), l.Errors)]
	}
	return append(slices.Clone(list[:l.Errors-1]), overLimit("there are more errors than a reply lists", l.Errors))
}

// countExtension is the name of the extension that counts the equal errors that became one.
const countExtension = "count"

// merge merges errors that differ only in their place into one with a count. It keeps the error
// whose path sorts first as text, because fields fail in any order and replies must not vary.
func merge(list gqlerror.List) gqlerror.List {
	var merged gqlerror.List
	at := make(map[string]int, len(list))
	count := make([]int, 0, len(list))
	for _, err := range list {
		content := fmt.Sprint(err.Message, err.Extensions) // Sprint sorts the keys of maps.
		i, again := at[content]
		switch {
		case !again:
			at[content] = len(merged)
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

// check returns the refusal of a document that exceeds a limit, else nil. It runs before
// validation, because the time of validation grows faster than the document. So the document need
// not be valid.
func (l Limits) check(document *measured) *gqlerror.Error {
	var all shape
	for _, definition := range document.definitions {
		if err := l.checkShape(definition); err != nil {
			return err
		}
		all = all.plus(definition)
	}
	// Validation visits each operation and each fragment separately.
	if most := 2 * l.Fields; all.fields > most {
		return overLimit("too many fields in all operations and fragments", most)
	}
	return nil
}

func (l Limits) checkShape(size shape) *gqlerror.Error {
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

// CheckVariables returns the refusal of a request whose variables exceed a limit, else nil.
func (l Limits) CheckVariables(r *Request) *gqlerror.Error {
	switch {
	case r.VariablesSize > l.VariablesSize:
		return overLimit("the variables are too large", l.VariablesSize)
	case jsonDepth(r.Variables) > l.ValueDepth+1: // the object that holds them does not count
		return overLimit("a variable nests too deep", l.ValueDepth)
	}
	return nil
}
