// Package address validates email addresses and computes the key by which they are compared. It
// knows nothing of customers.
package address

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"lumen/store/folding"
)

// MaxOctets is the maximum length of an address, in octets: that of a path in RFC 5321 without its
// brackets.
const MaxOctets = 254

// atext are the ASCII characters that an atom may hold besides letters and digits (RFC 5322,
// 3.2.3).
const atext = "!#$%&'*+-/=?^_`{|}~"

// IsValid reports whether email is an address: a local part, "@", and a domain of at least two
// labels. The local part may hold UTF-8 (RFC 6531). It is a quoted string, or atom characters with
// dots in any place, since people have such addresses. IsValid does not check the length.
func IsValid(email string) bool {
	_, ok := Key(email)
	return ok
}

// HasInvisible reports whether an address holds an invisible character. It ignores the two joiners
// in a domain, where some scripts need them: Key decides whether they are valid.
func HasInvisible(email string) bool {
	at := strings.LastIndexByte(email, '@')
	return folding.HasInvisible(email[:at+1]) || strings.ContainsFunc(email[at+1:], isForbidden)
}

// isForbidden reports whether r is an invisible character that no label of a domain may hold.
func isForbidden(r rune) bool {
	return folding.IsInvisible(r) && r != zeroWidthNonJoiner && r != zeroWidthJoiner
}

const (
	zeroWidthNonJoiner = '\u200C'
	zeroWidthJoiner    = '\u200D'
)

// isDotted reports whether a local part consists of dots and at least one atom character. It checks
// the decomposed text, because a Greek question mark composes to a semicolon and because an angle
// bracket may be part of a composed character.
func isDotted(local string) bool {
	local = norm.NFD.String(local)
	return strings.Trim(local, ".") != "" && !strings.ContainsFunc(local, func(r rune) bool {
		return r < utf8.RuneSelf && !isLetterOrDigit(r) && r != '.' && !strings.ContainsRune(atext, r) ||
			unicode.IsSpace(r)
	})
}

// unquote returns the text of a quoted local part. It returns false unless the text consists of
// printable characters and spaces and is not blank.
func unquote(local string) (string, bool) {
	inner, opens := strings.CutPrefix(local, `"`)
	inner, closes := strings.CutSuffix(inner, `"`)
	if !opens || !closes {
		return "", false
	}
	var text strings.Builder
	escaped := false
	for _, r := range inner {
		switch {
		case !unicode.IsPrint(r), r == '"' && !escaped:
			return "", false
		case r == '\\' && !escaped:
			escaped = true
			continue
		}
		escaped = false
		text.WriteRune(r)
	}
	return text.String(), !escaped && !folding.IsBlank(text.String())
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quote is the inverse of unquote. It escapes only what must be escaped.
func quote(text string) string { return `"` + escapes.Replace(text) + `"` }

func isLetterOrDigit(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func isDigits(text string) bool { return strings.Trim(text, "0123456789") == "" }
