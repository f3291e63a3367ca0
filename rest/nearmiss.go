package rest

import (
	"maps"
	"slices"
	"strings"

	"lumen/store"
)

// nearMisses returns a fault for each parameter that is unknown, but close to one that the client must have
// meant: to ignore it would answer another question than the client asked.
func (r resource[T]) nearMisses(values map[string][]string) []store.Fault {
	meant := make(map[string]string)
	for name, right := range r.misnomers {
		meant[loose(name)] = right
	}
	for _, name := range r.parameters() {
		meant[loose(name)] = name
	}
	var faults []store.Fault
	told := make(map[string]bool) // by loose name, so that many spellings make no long reply
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key := loose(name)
		right := meant[key]
		if right == "" || right == name || told[key] || !slices.ContainsFunc(values[name], func(value string) bool {
			return value != "" && !slices.Contains(harmless[key], value)
		}) {
			continue
		}
		told[key] = true
		name = shortName(name)
		faults = append(faults, store.NewFault(name, store.InvalidFormat, "is not a parameter of this list: use "+right))
	}
	return faults
}

// harmless are values of misnomers that change nothing, by loose name: the list begins at its start.
var harmless = map[string][]string{"page": {"0", "1"}, "offset": {"0"}, "skip": {"0"}}

// loose returns a parameter's name without what clients tend to write differently.
func loose(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "", "[", "", "]", "").Replace(name))
}
