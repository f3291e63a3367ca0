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

// Filter holds the conditions of a list by the documented names of the noun's filters. A row must
// meet all of them. A value is a string or a TimeRange; that of includeDeleted is a bool. Deleted
// rows are left out unless includeDeleted is true.
type Filter map[string]any

// TimeRange matches times t with From <= t < Before. A nil end is open.
type TimeRange struct{ From, Before *time.Time }

// includeDeleted is a filter that every noun has.
const includeDeleted = "includeDeleted"

// filter declares one filter of a noun's lists.
type filter struct {
	name, column string
	resolve      func(*filterResolver, filter, any) []Fault
}

// The bounds on the length of a search, in code points.
const (
	minSearch = 2
	maxSearch = 100
)

var searchForm = fmt.Sprintf("must be text of %d to %d characters", minSearch, maxSearch)

// resolved is a Filter whose values have the form of the stored values.
type resolved struct {
	conditions     []condition
	includeDeleted bool
}

type condition struct {
	expression string
	value      any
}

// filterResolver collects the conditions of a Filter. apply normalizes a text by the rule of a
// field, fault describes what that rule expects, and derive computes the value of a derived column.
type filterResolver struct {
	resolved
	apply  func(field, text string) (any, []Fault)
	fault  func(field string, reason Reason) Fault
	derive func(column, text string) any
}

// resolve returns the filter, or its faults in the order in which the filters are declared.
func (n *noun[T]) resolve(f Filter) (resolved, []Fault) {
	r := filterResolver{apply: n.applyRule, fault: n.fault, derive: n.derive}
	r.includeDeleted, _ = f[includeDeleted].(bool)
	var faults []Fault
	for _, declared := range n.filters {
		if value := f[declared.name]; value != nil {
			faults = append(faults, declared.resolve(&r, declared, value)...)
		}
	}
	return r.resolved, faults
}

func (n *noun[T]) applyRule(field, text string) (any, []Fault) {
	return n.ruleOf(field).apply(field, text)
}

// fault returns a fault of one of the noun's input fields.
func (n *noun[T]) fault(field string, reason Reason) Fault {
	return n.ruleOf(field).fault(field, reason)
}

// ruleOf returns the rule of an input field, which must exist. Only a flag has no column.
func (n *noun[T]) ruleOf(field string) *rule {
	c := n.columnOf(field)
	if c == nil {
		return &rule{kind: FlagKind}
	}
	return c.rule
}

// derive returns the value of a derived column for the text. For any other column it returns the
// text.
func (n *noun[T]) derive(column, text string) any {
	for _, d := range n.derived {
		if d.column == column {
			return d.key(text)
		}
	}
	return text
}

// equal matches rows whose column equals the text, by the rule of the field that has the filter's
// name. Equality and order of text and of times are leakproof, so they can use an index under
// row-level security.
func equal(r *filterResolver, f filter, value any) []Fault {
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

// contains matches rows whose column, a folded text, contains the text. It cannot use an index,
// because its operator is not leakproof.
func contains(r *filterResolver, f filter, value any) []Fault {
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

// within matches rows whose column lies in the TimeRange.
func within(r *filterResolver, f filter, value any) (faults []Fault) {
	span, _ := value.(TimeRange)
	for _, limit := range []struct {
		text string
		at   *time.Time
	}{{" >= ?", span.From}, {" < ?", span.Before}} {
		if limit.at == nil {
			continue
		}
		if !isDate(*limit.at) {
			faults = append(faults, NewFault(f.name, InvalidFormat, "must be in the years 1 to 9999"))
			continue
		}
		r.conditions = append(r.conditions, condition{"c." + f.column + limit.text, ceiling(*limit.at)})
	}
	return faults
}

// isDate reports whether Postgres can read the time as Bun writes it: a year from 1 to 9999.
func isDate(t time.Time) bool {
	year := t.UTC().Year()
	return 1 <= year && year <= 9999
}

// ceiling rounds a time up to the microsecond, which is Postgres's precision: no stored time lies
// between t and the result. Bun would round down.
func ceiling(t time.Time) time.Time {
	return t.Add(time.Microsecond - time.Nanosecond).Truncate(time.Microsecond)
}

// where adds the conditions to the query.
func (r resolved) where(q query) {
	if !r.includeDeleted {
		q.Where("c.deleted_at IS NULL")
	}
	for _, c := range r.conditions {
		q.Where(c.expression, c.value)
	}
}

// timeForm matches RFC 3339 times. Go's parser accepts more.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// ParseTime parses an RFC 3339 time with any offset, the format that both APIs accept.
func ParseTime(text string) (time.Time, bool) {
	text = strings.ToUpper(text)
	if !timeForm.MatchString(text) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil
}
