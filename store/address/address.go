// Package address decides which texts are email addresses and which of them are the same address.
// It knows nothing of customers.
package address

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"lumen/store/folding"
)

// MaxOctets is the length of the longest address: the longest path of RFC 5321 without its brackets.
const MaxOctets = 254

// atext are the ASCII characters of an atom besides letters and digits (RFC 5322, 3.2.3).
const atext = "!#$%&'*+-/=?^_`{|}~"

// IsValid reports whether email is a local part and a domain of at least two labels. The local part,
// in which UTF-8 is allowed (RFC 6531), is quoted, or of atom characters with dots wherever people have
// them. Length is the caller's to check.
func IsValid(email string) bool {
	_, ok := Key(email)
	return ok
}

// HasInvisible reports whether an address has a character of which nothing shows. Two joiners, which
// some scripts need, are left to Key where they stand in a domain.
func HasInvisible(email string) bool {
	at := strings.LastIndexByte(email, '@')
	return folding.HasInvisible(email[:at+1]) || strings.ContainsFunc(email[at+1:], isForbidden)
}

// isForbidden reports whether a character of which nothing shows may not stand in any label.
func isForbidden(r rune) bool {
	return folding.IsInvisible(r) && r != zeroWidthNonJoiner && r != zeroWidthJoiner
}

const (
	zeroWidthNonJoiner = '\u200C'
	zeroWidthJoiner    = '\u200D'
)

// isDotted reports whether a local part is atom characters, at least one, and dots. Composed, a Greek
// question mark is a semicolon, and an angle bracket may be in a letter: so it looks at what is decomposed.
func isDotted(local string) bool {
	local = norm.NFD.String(local)
	return strings.Trim(local, ".") != "" && !strings.ContainsFunc(local, func(r rune) bool {
		return r < utf8.RuneSelf && !isLetterOrDigit(r) && r != '.' && !strings.ContainsRune(atext, r) || unicode.IsSpace(r)
	})
}

// unquote returns the text of a quoted local part: printable characters and spaces, of which something
// shows.
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

// quote is the inverse of unquote, with no more escapes than it takes.
func quote(text string) string { return `"` + escapes.Replace(text) + `"` }

func isLetterOrDigit(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func isDigits(text string) bool { return strings.Trim(text, "0123456789") == "" }
