package folding_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"lumen/store/folding"
)

// Case is for comparisons, in which only letter case and composition do not count.
func ExampleCase() {
	fmt.Println(folding.Case("STRASSE"), folding.Case("Straße"), folding.Case("ZOE\u0308") == folding.Case("zoë"))
	// Output: strasse straße true
}

// A search folds both the stored text and the text that is searched for.
func ExampleSearch() {
	stored := folding.Search("José  O’Brien, Łódź")
	for _, search := range []string{"jose o'brien", "LODZ", "o`brien,", "josef"} {
		fmt.Println(search, strings.Contains(stored, folding.Search(search)))
	}
	// Output:
	// jose o'brien true
	// LODZ true
	// o`brien, true
	// josef false
}

// Names are sorted by their keys, as readers expect, and not by their code points.
func ExampleSortKey() {
	names := []string{"Zoë", "émile", "Emil", "eva", "Ötzi", "oskar"}
	slices.SortFunc(names, func(a, b string) int { return bytes.Compare(folding.SortKey(a), folding.SortKey(b)) })
	fmt.Println(strings.Join(names, ", "))
	// Output: Emil, émile, eva, oskar, Ötzi, Zoë
}

func ExampleIsBlank() {
	fmt.Println(folding.IsBlank(" \t"), folding.IsBlank("\u200B"), folding.IsBlank(" a "))
	// Output: true true false
}
