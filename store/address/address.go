// Package address decides which texts are email addresses and which of them are the same address.
// It knows nothing of customers.
package address

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxOctets is the length of the longest address: the longest path of RFC 5321 without its brackets.
const MaxOctets = 254

// atext are the ASCII characters of a dot-atom besides letters and digits (RFC 5322, 3.2.3).
const atext = "!#$%&'*+-/=?^_`{|}~"

// IsValid reports whether email is a dot-atom local part, in which UTF-8 is allowed (RFC 6531), and a
// domain of at least two labels. Its key must have the same form: NFC turns a Greek question mark
// into a semicolon. Length is the caller's to check.
func IsValid(email string) bool {
	if !hasForm(email) {
		return false
	}
	key, err := Key(email)
	return err == nil && len(key) <= maxKeyOctets && hasForm(key)
}

// MustKey is Key for an address that IsValid has accepted.
func MustKey(email string) string {
	key, err := Key(email)
	if err != nil {
		panic("address: a valid address has no key")
	}
	return key
}

func hasForm(text string) bool {
	at := strings.LastIndexByte(text, '@')
	if at < 0 || strings.ContainsFunc(text, unicode.IsSpace) {
		return false
	}
	local, domain := strings.Split(text[:at], "."), strings.Split(text[at+1:], ".")
	return !slices.ContainsFunc(local, isInvalidAtom) && !slices.ContainsFunc(domain, isInvalidLabel) && len(domain) >= 2
}

func isInvalidAtom(text string) bool {
	return text == "" || strings.ContainsFunc(text, func(r rune) bool {
		return r < utf8.RuneSelf && !isLetterOrDigit(r) && !strings.ContainsRune(atext, r)
	})
}

// otherDots separate labels like the ASCII dot does (RFC 3490, 3.1). They are refused in a label.
const otherDots = "\u3002\uFF0E\uFF61"

// isInvalidLabel accepts letters, digits and inner hyphens of ASCII, and all characters beyond ASCII
// but controls and white space.
func isInvalidLabel(text string) bool {
	return text == "" || strings.ContainsAny(text, otherDots) || text[0] == '-' || text[len(text)-1] == '-' || strings.ContainsFunc(text, func(r rune) bool {
		return r < utf8.RuneSelf && !isLetterOrDigit(r) && r != '-' || unicode.IsControl(r) || unicode.IsSpace(r)
	})
}

// maxKeyOctets keeps the longest key well inside what a btree entry holds (2,704 bytes with the ids beside it).
// Folding lengthens text at most threefold.
const maxKeyOctets = 1024

func isLetterOrDigit(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
