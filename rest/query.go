package rest

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lumen/store"
)

// parameters are the parameters of a route.
type parameters struct {
	names []string // in the documented order
	// suggestions are the names that messages suggest, by the normalized names that clients send
	// instead.
	suggestions map[string]string
	// storeNames holds the names of parameters by the names that the store has for them, where these
	// differ.
	storeNames map[string]string
}

// read reads the parameters of a request. It ignores unknown parameters, except near misses. Near
// misses and known parameters that are repeated, malformed or out of range are reported together, in
// one store.InvalidInput. query reads the values, and returns the error with which the store would
// refuse them. It may be called twice.
func (p parameters) read(r *http.Request, query func(queryReader) error) error {
	q := queryReader{
		values: make(map[string][]string), plus: make(map[string]string), faults: make(map[string]store.Fault),
	}
	q.parse(r.URL.RawQuery)
	err := p.check(q, query(q))
	if err != nil && q.restorePlus() {
		err = p.check(q, query(q))
	}
	return err
}

// check adds the faults in an error of the store. It returns all faults in the documented order of
// the parameters, followed by the near misses. If the error has another code, it returns that
// error.
func (p parameters) check(q queryReader, err error) error {
	var invalid *store.Error
	if errors.As(err, &invalid) && invalid.Code != store.InvalidInput {
		return err
	}
	if invalid != nil {
		for _, f := range invalid.Faults {
			name := f.Field
			if parameter, ok := p.storeNames[name]; ok {
				name = parameter
			}
			q.faults[name] = f.Rename(name)
		}
	}
	var faults []store.Fault
	for _, name := range p.names {
		if f, ok := q.faults[name]; ok {
			faults = append(faults, f)
		}
	}
	return store.Invalid(append(faults, p.nearMisses(q.values)...)...)
}

// queryReader holds the parameters of a query and their faults, by name.
type queryReader struct {
	values map[string][]string
	// plus holds the values that contain a raw "+", with the "+" kept. In values it is a space.
	plus   map[string]string
	faults map[string]store.Fault
}

// parse reads the pairs one by one, so that a malformed unknown parameter does not affect known
// ones.
func (q queryReader) parse(raw string) {
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			continue
		}
		if plus, err := url.PathUnescape(value); err == nil && strings.Contains(value, "+") {
			q.plus[name] = plus
		}
		if value, err = url.QueryUnescape(value); err != nil {
			value = malformed
		}
		q.values[name] = append(q.values[name], value)
	}
}

// malformed replaces a value whose percent-encoding is malformed. It is not UTF-8, so it is refused
// like other invalid values.
const malformed = "\xff"

func (q queryReader) text(name string) *string {
	given := q.values[name]
	if len(given) == 0 {
		return nil
	}
	switch {
	case len(given) > 1:
		q.refuse(name, "must be given once")
	case !utf8.ValidString(given[0]):
		q.refuse(name, "must be percent-encoded UTF-8")
	default:
		return &given[0]
	}
	return nil
}

// integer returns the value of a parameter that must be an integer of the form.
func (q queryReader) integer(name, form string) *int {
	text := q.text(name)
	if text == nil {
		return nil
	}
	n, err := strconv.Atoi(*text)
	if err != nil || strconv.Itoa(n) != *text {
		q.refuse(name, form)
		return nil
	}
	return &n
}

// time returns the value of a parameter that must be a time.
func (q queryReader) time(name string) *time.Time {
	text := q.text(name)
	if text == nil {
		return nil
	}
	at, ok := store.ParseTime(*text)
	if !ok {
		q.refuse(name, store.TimeForm)
		return nil
	}
	return &at
}

func (q queryReader) refuse(name, form string) {
	q.faults[name] = store.NewFault(name, store.InvalidFormat, form)
}

// restorePlus replaces refused values by their variants with a raw "+", which clients forget to
// encode, as in email=a+b@example.com, and clears the faults. It reports whether there are any.
func (q queryReader) restorePlus() bool {
	restored := false
	for name := range q.faults {
		if value, ok := q.plus[name]; ok && len(q.values[name]) == 1 {
			q.values[name], restored = []string{value}, true
		}
	}
	clear(q.faults)
	return restored
}
