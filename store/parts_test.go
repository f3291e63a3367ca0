package store_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// part is a part of a statement: what WITH names, or the rest, whose name is "".
type part struct {
	name, text string
	writes     string   // the table that the part writes, or ""
	tables     []string // the tables that it reads
	parts      []string // the parts that it reads
}

var (
	partName  = regexp.MustCompile(`^"?(\w+)"? AS \(`)
	tableName = regexp.MustCompile(`"?public"?\."?(\w+)"?`)
	written   = regexp.MustCompile(`^(?:INSERT INTO|UPDATE|DELETE FROM) "?public"?\."?(\w+)"?`)
	// anchor is the one mention of a table that another part writes: its merchant never changes.
	anchor = regexp.MustCompile(`public\.merchant_heads AS a\b`)
)

// partsOf splits a statement that begins with WITH.
func partsOf(t *testing.T, statement string) (all []part) {
	t.Helper()
	rest := strings.TrimPrefix(statement, "WITH ")
	for {
		begin := partName.FindStringSubmatch(rest)
		if begin == nil {
			break
		}
		rest = rest[len(begin[0]):]
		end := closing(rest)
		require.Positive(t, end, statement)
		all = append(all, part{name: begin[1], text: rest[:end]})
		rest = strings.TrimPrefix(rest[end+1:], ", ")
	}
	all = append(all, part{text: strings.TrimSpace(rest)})
	for i := range all {
		p := &all[i]
		text := anchor.ReplaceAllString(p.text, "")
		if target := written.FindStringSubmatch(text); target != nil {
			p.writes, text = target[1], strings.TrimPrefix(text, target[0])
		}
		for _, table := range tableName.FindAllStringSubmatch(text, -1) {
			p.tables = append(p.tables, table[1])
		}
		for _, other := range all {
			if other.name != "" && other.name != p.name && regexp.MustCompile(`\b`+other.name+`\b`).MatchString(text) {
				p.parts = append(p.parts, other.name)
			}
		}
	}
	return all
}

// closing returns the index of the parenthesis that closes the text.
func closing(text string) int {
	depth := 0
	for i, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			if depth--; depth < 0 {
				return i
			}
		}
	}
	return -1
}

// violations returns how a statement violates the rule of its parts: all see the same snapshot, so
// a part may read a table that another part writes only if it comes first and the writer reads from
// it. A part that inserts what another part returned takes the merchant from the anchor.
func violations(parts []part) (found []string) {
	for i, reader := range parts {
		for j, writer := range parts {
			isOrdered := i < j && slices.Contains(writer.parts, reader.name)
			if i != j && writer.writes != "" && slices.Contains(reader.tables, writer.writes) && !isOrdered {
				found = append(found, fmt.Sprintf("%q reads %s, which %q writes", reader.name, writer.writes, writer.name))
			}
		}
		if strings.HasPrefix(reader.text, "INSERT") && len(reader.parts) > 0 &&
			(!anchor.MatchString(reader.text) || !strings.Contains(reader.text, `a.merchant_id AS "merchant_id"`)) {
			found = append(found, fmt.Sprintf("%q does not take the merchant from the anchor", reader.name))
		}
	}
	return found
}

// The parts of every statement of testdata/statements.sql keep the rule, and the test notices each
// deliberate violation of it.
func TestPartsKeepTheRule(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile("testdata/statements.sql")
	require.NoError(t, err)
	var statements []string
	for statement := range strings.SplitSeq(string(golden), ";\n") {
		if i := strings.Index(statement, "\nWITH "); i >= 0 {
			statements = append(statements, strings.Join(strings.Fields(statement[i:]), " "))
		}
	}
	require.NotEmpty(t, statements)
	breaks := map[string]*strings.Replacer{
		"the log reads the head from its table": strings.NewReplacer("head.sequence AS", "h.sequence AS", "AS a, ", "AS a, public.merchant_heads AS h, "),
		"the log reads the written row":         strings.NewReplacer("AS a, ", "AS a, public.customers AS written, "),
		"the log has no anchor":                 strings.NewReplacer("public.merchant_heads AS a, ", "", "a.merchant_id AS", "$1 AS", "WHERE (a.merchant_id = $1)", ""),
		"the result reads the written row":      strings.NewReplacer("LEFT JOIN log ON true", "LEFT JOIN log ON true LEFT JOIN public.customers AS c ON true"),
		"the result reads the log":              strings.NewReplacer("LEFT JOIN log ON true", "LEFT JOIN log ON true LEFT JOIN public.changes AS c ON true"),
	}
	for _, statement := range statements {
		parts := partsOf(t, statement)
		require.Empty(t, violations(parts), statement)
		var names []string
		for _, p := range parts {
			names = append(names, p.name)
		}
		require.Equal(t, []string{"new", "head", "log", ""}, names[len(names)-4:], "the head is counted up after the write")
		for name, broken := range breaks {
			require.NotEqual(t, statement, broken.Replace(statement), name)
			require.NotEmpty(t, violations(partsOf(t, broken.Replace(statement))), "%s: %s", name, statement)
		}
		if names[0] == "old" { // a row that is locked after it is written would not be the row before
			swapped := slices.Concat([]part{parts[1], parts[0]}, parts[2:])
			require.NotEmpty(t, violations(swapped))
		}
	}
}
