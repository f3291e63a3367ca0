package store

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/uptrace/bun"

	"lumen/store/address"
)

// CustomerFilter narrows a list; what is set combines with AND. Deleted customers are left out unless asked for.
type CustomerFilter struct {
	Email          *string // the whole address, in any letter case
	UserID         *string
	BillingCountry *string
	Search         *string // part of the email, name or user id, in any letter case; 2 to 100 characters
	CreatedAt      TimeRange
	UpdatedAt      TimeRange
	IncludeDeleted bool
}

// timeForm is RFC 3339's; Go's parser lets more pass.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// ParseTime reads RFC 3339 text, with any offset, as both doors take it.
func ParseTime(text string) (time.Time, bool) {
	text = strings.ToUpper(text)
	if !timeForm.MatchString(text) {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil
}

// TimeRange is From <= t < Before; nil is open.
type TimeRange struct{ From, Before *time.Time }

// The lengths of a search, in code points.
const (
	minSearch = 2
	maxSearch = 100
)

// normalize returns the filter in the form that is compared with what is stored, and its faults.
func (f CustomerFilter) normalize() (CustomerFilter, []Fault) {
	var faults []Fault
	exact := func(name string, value **string) {
		if *value == nil {
			return
		}
		rule := fieldNamed(name)
		stored, found := rule.normalize(strings.TrimSpace(**value))
		if stored == "" {
			found = []Fault{NewFault(name, InvalidFormat)}
		}
		faults = append(faults, found...)
		*value = &stored
	}
	exact("email", &f.Email)
	exact("userId", &f.UserID)
	exact("billingCountry", &f.BillingCountry)
	if f.Email != nil && len(faults) == 0 {
		key := address.MustKey(*f.Email)
		f.Email = &key
	}
	if f.Search != nil {
		text := strings.TrimSpace(*f.Search)
		switch n := utf8.RuneCountInString(text); {
		case n > maxSearch:
			faults = append(faults, NewFault("search", TooLong))
		case n < minSearch, !utf8.ValidString(text):
			faults = append(faults, NewFault("search", InvalidFormat))
		case strings.ContainsFunc(text, field{}.forbids):
			faults = append(faults, NewFault("search", ForbiddenCharacter))
		}
		text = address.Fold(text)
		f.Search = &text
	}
	for _, r := range f.ranges() {
		for _, t := range []*time.Time{r.From, r.Before} {
			if t != nil && (t.UTC().Year() < 1 || t.UTC().Year() > 9999) { // what Postgres reads as a date
				faults = append(faults, NewFault(r.name, InvalidFormat))
			}
		}
	}
	return f, faults
}

// namedRange is a range of a filter with its name and its column.
type namedRange struct {
	name, column string
	TimeRange
}

func (f CustomerFilter) ranges() []namedRange {
	return []namedRange{{"createdAt", "created_at", f.CreatedAt}, {"updatedAt", "updated_at", f.UpdatedAt}}
}

// picks reports that the filter leaves out more than what is deleted.
func (f CustomerFilter) picks() bool {
	f.IncludeDeleted = false
	return f != CustomerFilter{}
}

// where adds the filter's conditions. Each but search is one that an index can answer under row-level security:
// equality and order of text and times are leakproof, what search does is not.
func (f CustomerFilter) where(q *bun.SelectQuery) *bun.SelectQuery {
	if !f.IncludeDeleted {
		q = q.Where("c.deleted_at IS NULL")
	}
	if f.Email != nil {
		q = q.Where("c.email_key = ?", *f.Email)
	}
	if f.UserID != nil {
		q = q.Where("c.user_id = ?", *f.UserID)
	}
	if f.BillingCountry != nil {
		q = q.Where("c.billing_country = ?", *f.BillingCountry)
	}
	if f.Search != nil {
		q = q.Where("strpos(c.search_key, ?) > 0", *f.Search)
	}
	for _, r := range f.ranges() {
		if r.From != nil {
			q = q.Where("c.? >= ?", bun.Ident(r.column), ceiling(*r.From))
		}
		if r.Before != nil {
			q = q.Where("c.? < ?", bun.Ident(r.column), ceiling(*r.Before))
		}
	}
	return q
}

// ceiling rounds up to what Postgres can hold: none of its times lies between t and that. Bun would round down.
func ceiling(t time.Time) time.Time {
	return t.Add(time.Microsecond - time.Nanosecond).Truncate(time.Microsecond)
}
