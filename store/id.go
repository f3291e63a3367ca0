package store

import (
	"strings"

	"go.jetify.com/typeid"
)

// MerchantPrefix is the prefix of merchants' ids. What follows a prefix is a TypeID's suffix: 26 lower-case characters of a version 7 UUID, whose last
// 74 bits are random.
const MerchantPrefix = "merchant"

// maxIDSuffix is how long an id may be after its prefix. The accepted forms are wider than what is made today, so that ids
// brought from elsewhere stay well-formed.
const maxIDSuffix = 64

// IsMerchantID reports whether id has the form of a merchant's id.
func IsMerchantID(id string) bool { return isID(id, MerchantPrefix) }

// isID reports whether id is the prefix, an underscore, and letters, digits and underscores. Each request asks: a regular
// expression would be one of its dearer parts.
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

// NewID returns a fresh id with this prefix. It fails only when the system has no randomness.
func NewID(prefix string) (string, error) {
	id, err := typeid.WithPrefix(prefix)
	if err != nil {
		return "", err
	}
	return id.String(), nil
}
