package store

import (
	"strings"

	"go.jetify.com/typeid"
)

// MerchantPrefix is the prefix of merchants' ids. A prefix is followed by "_" and a TypeID suffix:
// a version 7 UUID in 26 lower-case characters, whose last 74 bits are random.
const MerchantPrefix = "merchant"

// maxIDSuffix is the maximum length of an id after its prefix. Lumen accepts more ids than it
// makes, so that ids from other systems are well-formed.
const maxIDSuffix = 64

// IsMerchantID reports whether id has the form of a merchant's id.
func IsMerchantID(id string) bool { return isID(id, MerchantPrefix) }

// isID reports whether id is the prefix, an underscore, and 1 to 64 letters, digits and
// underscores. It runs in every request, where a regular expression would be a notable part of the
// time.
func isID(id, prefix string) bool {
	suffix, ok := strings.CutPrefix(id, prefix+"_")
	if !ok || len(suffix) == 0 || len(suffix) > maxIDSuffix {
		return false
	}
	for i := range len(suffix) {
		switch c := suffix[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		default:
			return false
		}
	}
	return true
}

// NewID returns a new id with this prefix. It fails only if the system has no source of randomness.
func NewID(prefix string) (string, error) {
	id, err := typeid.WithPrefix(prefix)
	if err != nil {
		return "", err
	}
	return id.String(), nil
}
