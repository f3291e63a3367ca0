package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"lumen/store/folding"
)

// Input holds the values that a caller gives for a noun's fields, by the documented names. A value
// is a string, a bool, an int64 or a time.Time, as the field requires, or Mistyped. Nil and text
// without visible characters clear the field. An update keeps the fields that are absent.
type Input map[string]any

// Mistyped is the value of a field whose JSON an API could not read as the field's type. The store
// reports it together with all other faults.
type Mistyped struct{}

// InputField describes a field that callers may set.
type InputField struct {
	Name string
	Kind Kind
	// Required fields must be given on create. Immutable fields cannot be changed by an update.
	Required, Immutable bool
}

// Kind is the type of a field's value.
type Kind int

// The kinds.
const (
	TextKind      Kind = iota
	NumberKind         // an int64
	EnumKind           // one of several texts
	TimeKind           // a time.Time
	ReferenceKind      // the id of a row of another noun
	FlagKind           // a bool
)

// rule describes the valid values of a field. Lengths are in code points unless they are in octets.
type rule struct {
	kind Kind
	// required fields must be given on create, and cannot be cleared.
	required bool
	// immutable fields can be given on create only. Updates ignore them, as they ignore read-only
	// fields.
	immutable bool

	max      int // length of text; 0 means no limit
	maxBytes int // length of text, in octets; 0 means no limit
	// forbids reports whether a text holds a forbidden character. Control characters are forbidden
	// anyway. Nil forbids no others.
	forbids func(string) bool
	// normalize returns the text as it is stored, and whether the text is valid. Nil stores it
	// unchanged.
	normalize func(string) (string, bool)
	// form describes the text that normalize or reference accepts, for messages, as in "must be 1
	// to 250". hint returns what to add to the message for one refused text, or "". Nil means no
	// hints.
	form string
	hint func(string) string

	minValue, maxValue int64             // of numbers
	values             []string          // of enums
	reference          func(string) bool // reports whether a text is an id of the other noun
}

// values is an Input whose values are in their stored form: a string, a bool, an int64, a time.Time
// or nil.
type values map[string]any

// text returns the text of a field, or nil if the field is null or absent.
func (v values) text(field string) *string {
	if value, ok := v[field].(string); ok {
		return &value
	}
	return nil
}

// normalize returns the input in its stored form, or all of its faults. It trims white space around
// texts, and turns texts without visible characters into null.
func (n *noun[T]) normalize(in Input, creating bool) (values, error) {
	out := make(values, len(in)+len(n.flags))
	known := 0
	var faults []Fault
	for _, c := range n.columns {
		if c.rule == nil {
			continue
		}
		value, present := in[c.Field]
		if present {
			known++
		}
		if !present && !(creating && c.rule.required) || !creating && c.rule.immutable {
			continue
		}
		stored, found := c.rule.apply(c.Field, value)
		out[c.Field] = stored
		faults = append(faults, found...)
	}
	for _, name := range n.flags {
		value, present := in[name]
		if present {
			known++
		}
		switch value.(type) {
		case nil: // null means absent
		case bool:
			out[name] = value
		default:
			faults = append(faults, n.fault(name, WrongType))
		}
	}
	if known < len(in) {
		return nil, fmt.Errorf("a %s has not all of the fields %v", n.name, slices.Sorted(maps.Keys(in)))
	}
	return out, Invalid(faults...)
}

// apply returns the value of a field in its stored form, and its faults.
func (r rule) apply(field string, value any) (any, []Fault) {
	isText := r.kind == TextKind || r.kind == EnumKind || r.kind == ReferenceKind
	if text, ok := value.(string); ok && isText {
		if !folding.IsBlank(text) {
			return r.applyText(field, strings.TrimSpace(text))
		}
		value = nil
	}
	refuse := func(reason Reason) (any, []Fault) { return nil, []Fault{r.fault(field, reason)} }
	switch value := value.(type) {
	case nil:
		if r.required {
			return refuse(InvalidFormat)
		}
		return nil, nil
	case bool:
		if r.kind == FlagKind {
			return value, nil
		}
	case int64:
		if r.kind == NumberKind {
			if value < r.minValue || value > r.maxValue {
				return refuse(InvalidFormat)
			}
			return value, nil
		}
	case time.Time:
		if r.kind == TimeKind {
			if !isDate(value) {
				return refuse(InvalidFormat)
			}
			return value.UTC().Truncate(time.Millisecond), nil
		}
	}
	return refuse(WrongType)
}

// applyText is apply for a text that is trimmed and not empty.
func (r rule) applyText(field, text string) (any, []Fault) {
	if !utf8.ValidString(text) {
		return text, []Fault{r.fault(field, InvalidFormat)}
	}
	var faults []Fault
	if strings.ContainsFunc(text, unicode.IsControl) || r.forbids != nil && r.forbids(text) {
		faults = append(faults, r.fault(field, ForbiddenCharacter))
	}
	if r.max > 0 && utf8.RuneCountInString(text) > r.max || r.maxBytes > 0 && len(text) > r.maxBytes {
		faults = append(faults, r.fault(field, TooLong))
	}
	if len(faults) > 0 {
		return text, faults
	}
	stored, ok := text, true
	switch {
	case r.kind == EnumKind:
		ok = slices.Contains(r.values, text)
	case r.kind == ReferenceKind:
		ok = r.reference(text)
	case r.normalize != nil:
		stored, ok = r.normalize(text)
	}
	if !ok {
		fault := r.fault(field, InvalidFormat)
		if r.hint != nil {
			fault.Message += r.hint(text)
		}
		return text, []Fault{fault}
	}
	return stored, nil
}

// fault returns a fault of the field, whose message describes what the rule expects.
func (r rule) fault(field string, reason Reason) Fault {
	isText := r.kind == TextKind || r.kind == EnumKind || r.kind == ReferenceKind
	form := r.expected()
	switch {
	case reason == WrongType && isText:
		form = "must be a string"
	case reason == WrongType && r.kind == NumberKind:
		form = "must be a whole number"
	case reason == TooLong && r.max > 0:
		form = fmt.Sprintf("must be at most %d characters", r.max)
	case reason == TooLong:
		form = fmt.Sprintf("must be at most %d octets", r.maxBytes)
	case reason == ForbiddenCharacter && r.forbids != nil:
		form = "must not contain control characters or invisible characters"
	case reason == ForbiddenCharacter:
		form = "must not contain control characters"
	}
	return NewFault(field, reason, form)
}

// expected describes the valid values, for messages.
func (r rule) expected() string {
	switch {
	case r.form != "":
		return r.form
	case r.kind == NumberKind:
		return fmt.Sprintf("must be %d to %d", r.minValue, r.maxValue)
	case r.kind == EnumKind:
		return "must be one of " + strings.Join(r.values, ", ")
	case r.kind == TimeKind:
		return TimeForm
	case r.kind == FlagKind:
		return "must be true or false"
	case r.kind == ReferenceKind:
		return "must be an ID"
	default:
		return fmt.Sprintf("must be text of 1 to %d characters", r.max)
	}
}
