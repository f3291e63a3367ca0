package rest

import (
	"maps"
	"slices"
	"strings"

	"lumen/store"
)

// newParameters returns the parameters with these names. misnomers maps parameters of other APIs to the
// parameters that messages suggest instead.
func newParameters(misnomers map[string]string, names ...string) parameters {
	p := parameters{names: names, suggestions: make(map[string]string)}
	for name, known := range misnomers {
		p.suggestions[normalized(name)] = known
	}
	for _, name := range names {
		p.suggestions[normalized(name)] = name
	}
	return p
}

// nearMisses returns a fault for each unknown parameter that is close to a known one. If the server
// ignored such a parameter, it would answer a question that the client did not ask.
func (p parameters) nearMisses(values map[string][]string) []store.Fault {
	var faults []store.Fault
	reported := make(map[string]bool) // by normalized name, so that many spellings make one fault
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key := normalized(name)
		known := p.suggestions[key]
		matters := func(value string) bool { return value != "" && !slices.Contains(noEffect[key], value) }
		if known == "" || known == name || reported[key] || !slices.ContainsFunc(values[name], matters) {
			continue
		}
		reported[key] = true
		form := "is not a parameter of this list: use " + known
		faults = append(faults, store.NewFault(shortName(name), store.InvalidFormat, form))
	}
	return faults
}

// noEffect holds the values of misnomers, by normalized name, that ask for the start of the list.
// The list starts there anyway, so these values are ignored.
var noEffect = map[string][]string{"page": {"0", "1"}, "offset": {"0"}, "skip": {"0"}}

// normalized returns the name of a parameter in lower case and without separators, which clients
// spell in different ways.
func normalized(name string) string { return strings.ToLower(separators.Replace(name)) }

var separators = strings.NewReplacer("_", "", "-", "", ".", "", "[", "", "]", "")
