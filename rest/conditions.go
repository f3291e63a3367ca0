package rest

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"lumen/store"
)

// conditions returns the options of a write of a row that exists, with the versions that If-Match
// expects.
func conditions(r *http.Request, receipt *store.Receipt) store.WriteOptions {
	options := store.WriteOptions{Receipt: receipt}
	values := r.Header.Values("If-Match")
	if len(values) == 0 {
		return options
	}
	tags, wildcard, ok := entityTags(values)
	switch {
	case !ok:
		options.Faults = append(options.Faults, store.NewHeaderFault("If-Match", store.InvalidFormat,
			`must be *, or entity tags in quotes such as "7"`))
	case !wildcard: // * asks that the row exists, which every write does
		options.Expected = versions(tags)
	}
	return options
}

// confirm tells the client where the log of changes recorded its write.
func confirm(w http.ResponseWriter, receipt store.Receipt) {
	if position := receipt.String(); position != "" {
		w.Header().Set(store.SequenceHeader, position)
	}
}

// notModified reports whether If-None-Match names the version. A malformed header names none.
func notModified(r *http.Request, version int64) bool {
	tags, wildcard, ok := entityTags(r.Header.Values("If-None-Match"))
	return ok && (wildcard || slices.Contains(versions(tags), version))
}

// versions returns the versions that entity tags name. It is not nil. Other tags name no version.
func versions(tags []string) store.Versions {
	named := store.Versions{}
	for _, tag := range tags {
		if version, err := strconv.ParseInt(tag, 10, 64); err == nil && strconv.FormatInt(version, 10) == tag {
			named = append(named, version)
		}
	}
	return named
}

// entityTags parses the values of If-Match or If-None-Match (RFC 9110, 13.1): the wildcard *, or a list
// of entity tags, which it returns without quotes. It accepts a weak tag as the strong one, because the
// tag names a version of the row and not the bytes of a reply, and proxies that compress weaken tags.
func entityTags(values []string) (tags []string, wildcard, ok bool) {
	rest := strings.Trim(strings.Join(values, ","), " \t")
	if rest == "*" {
		return nil, true, true
	}
	for {
		rest = strings.TrimLeft(rest, " \t,") // a list may have empty members
		if rest == "" {
			return tags, false, len(tags) > 0
		}
		quoted, isTag := strings.CutPrefix(strings.TrimPrefix(rest, "W/"), `"`)
		tag, after, closed := strings.Cut(quoted, `"`)
		isOutside := func(r rune) bool { return r <= ' ' || r == 0x7F }
		if after = strings.TrimLeft(after, " \t"); !isTag || !closed || strings.ContainsFunc(tag, isOutside) ||
			after != "" && after[0] != ',' {
			return nil, false, false
		}
		tags, rest = append(tags, tag), after
	}
}
