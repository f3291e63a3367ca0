package rest

import (
	"maps"
	"slices"
	"strings"

	"lumen/store"
)

// meanings returns the parameters that clients may have meant, by the loose names of what they
// send.
func (r resource[T]) meanings() map[string]string {
	meant := make(map[string]string)
	for name, right := range r.misnomers {
		meant[loose(name)] = right
	}
	for _, name := range r.parameters() {
		meant[loose(name)] = name
	}
	return meant
}

// nearMisses returns a fault for each parameter that is unknown, but close to one that the client
// must have meant: to ignore it would answer another question than the client asked.
func (s *service[T]) nearMisses(values map[string][]string) []store.Fault {
	var faults []store.Fault
	told := make(map[string]bool) // by loose name, so that many spellings make no long reply
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key := loose(name)
		right := s.meant[key]
		if right == "" || right == name || told[key] || !slices.ContainsFunc(values[name], func(value string) bool {
			return value != "" && !slices.Contains(harmless[key], value)
		}) {
			continue
		}
		told[key] = true
		form := "is not a parameter of this list: use " + right
		faults = append(faults, store.NewFault(shortName(name), store.InvalidFormat, form))
	}
	return faults
}

// harmless are values of misnomers that change nothing, by loose name: the list begins at its
// start.
var harmless = map[string][]string{"page": {"0", "1"}, "offset": {"0"}, "skip": {"0"}}

// loose returns a parameter's name without what clients tend to write differently.
func loose(name string) string { return strings.ToLower(separators.Replace(name)) }

var separators = strings.NewReplacer("_", "", "-", "", ".", "", "[", "", "]", "")
