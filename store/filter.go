package store

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lumen/store/folding"
)

// Filter narrows a list, by the documented names of the noun's filters. Its conditions combine with AND.
// Values are a string, a TimeRange, or for includeDeleted a bool. Rows that are deleted are left out
// unless includeDeleted is true.
type Filter map[string]any

// TimeRange is From <= t < Before; nil is open.
type TimeRange struct{ From, Before *time.Time }

// includeDeleted is a filter of every noun.
const includeDeleted = "includeDeleted"

// filter declares what lists can be filtered by.
type filter struct {
	name, column string
	how          func(*resolving, filter, any) []Fault
}

// The lengths of a search, in code points.
const (
	minSearch = 2
	maxSearch = 100
)

var searchForm = fmt.Sprintf("must be text of %d to %d characters", minSearch, maxSearch)

// resolved is a Filter in the form that is compared with what is stored.
type resolved struct {
	conditions     []condition
	includeDeleted bool
}

type condition struct {
	expression string
	value      any
}

// resolving collects the conditions of a filter. apply normalizes a text by the rule of the field with
// this name, fault says what that rule expects, derive derives a text as the column is derived.
type resolving struct {
	resolved
	apply  func(field, text string) (any, []Fault)
	fault  func(field string, reason Reason) Fault
	derive func(column, text string) any
}

// resolve returns the filter, or its faults in the declared order.
func (n *noun[T]) resolve(f Filter) (resolved, []Fault) {
	r := resolving{apply: n.applyRule, fault: n.fault, derive: n.derive}
	r.includeDeleted, _ = f[includeDeleted].(bool)
	var faults []Fault
	for _, declared := range n.filters {
		if value := f[declared.name]; value != nil {
			faults = append(faults, declared.how(&r, declared, value)...)
		}
	}
	return r.resolved, faults
}

func (n *noun[T]) applyRule(field, text string) (any, []Fault) {
	return n.ruleOf(field).apply(field, text)
}

// fault returns a fault of one of the noun's inputs.
func (n *noun[T]) fault(field string, reason Reason) Fault {
	return n.ruleOf(field).fault(field, reason)
}

// ruleOf returns the rule of the input with this name, which exists. Only flags have no column.
func (n *noun[T]) ruleOf(field string) *rule {
	c := n.columnOf(field)
	if c == nil {
		return &rule{kind: FlagKind}
	}
	return c.rule
}

// derive returns the value of a column that is derived from the text, the text itself when it is not.
func (n *noun[T]) derive(column, text string) any {
	for _, d := range n.derived {
		if d.column == column {
			return d.key(text)
		}
	}
	return text
}

// equal compares the column with a text of the field of the same name. Equality and order of text and
// times are leakproof, so an index can answer them under row-level security.
func equal(r *resolving, f filter, value any) []Fault {
	text, _ := value.(string)
	stored, faults := r.apply(f.name, text)
	if stored == nil {
		faults = []Fault{r.fault(f.name, InvalidFormat)}
	}
	if len(faults) == 0 {
		r.conditions = append(r.conditions, condition{"c." + f.column + " = ?", r.derive(f.column, stored.(string))})
	}
	return faults
}

// contains looks for a part of the column, a folded text. No index answers it: what it does is not leakproof.
func contains(r *resolving, f filter, value any) []Fault {
	text, _ := value.(string)
	text = strings.TrimSpace(text)
	switch n := utf8.RuneCountInString(text); {
	case n > maxSearch:
		return []Fault{NewFault(f.name, TooLong, searchForm)}
	case n < minSearch, !utf8.ValidString(text), folding.IsBlank(text):
		return []Fault{NewFault(f.name, InvalidFormat, searchForm)}
	case strings.ContainsFunc(text, unicode.IsControl):
		return []Fault{rule{}.fault(f.name, ForbiddenCharacter)}
	}
	r.conditions = append(r.conditions, condition{"strpos(c." + f.column + ", ?) > 0", folding.Search(text)})
	return nil
}

// within compares the column with a TimeRange.
func within(r *resolving, f filter, value any) (faults []Fault) {
	span, _ := value.(TimeRange)
	for _, bound := range []struct {
		text string
		at   *time.Time
	}{{" >= ?", span.From}, {" < ?", span.Before}} {
		if bound.at == nil {
			continue
		}
		if !isDate(*bound.at) {
			faults = append(faults, NewFault(f.name, InvalidFormat, "must be in the years 1 to 9999"))
			continue
		}
		r.conditions = append(r.conditions, condition{"c." + f.column + bound.text, ceiling(*bound.at)})
	}
	return faults
}

// isDate reports whether Postgres reads what Bun writes of a time as a date.
func isDate(t time.Time) bool {
	year := t.UTC().Year()
	return 1 <= year && year <= 9999
}

// ceiling rounds up to what Postgres can hold: none of its times lies between t and that. Bun would round down.
func ceiling(t time.Time) time.Time {
	return t.Add(time.Microsecond - time.Nanosecond).Truncate(time.Microsecond)
}

// where adds the conditions to a query.
func (r resolved) where(q query) {
	if !r.includeDeleted {
		q.Where("c.deleted_at IS NULL")
	}
	for _, c := range r.conditions {
		q.Where(c.expression, c.value)
	}
}

// timeForm is RFC 3339's; Go's parser lets more pass.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// ParseTime reads RFC 3339 text, with any offset, as both APIs take it.
func ParseTime(text string) (time.Time, bool) {
	text = strings.ToUpper(text)
	if !timeForm.MatchString(text) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil
}
