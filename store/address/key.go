package address

import (
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"lumen/store/folding"
)

// maxKeyOctets is the maximum length of a key, so that it fits into an index entry together with
// the ids (a btree entry holds 2,704 octets). Folding makes a text at most three times as long.
const maxKeyOctets = 1024

// Key returns the comparison key of an address: two addresses are the same if their keys are equal.
// It returns false if email is not an address. The key of a key is the key itself.
//
// Two local parts have the same key if they differ only in letter case, in Unicode composition or
// in unnecessary quotes. Two domains have the same key if IDNA 2008 registers them as one, so
// "straße" and "strasse" differ, and a final sigma is a letter of its own.
func Key(email string) (string, bool) {
	at := strings.LastIndexByte(email, '@')
	if at < 0 || HasInvisible(email) {
		return "", false
	}
	local, ok := localKey(email[:at])
	if !ok {
		return "", false
	}
	labels := strings.Split(email[at+1:], ".")
	for i, label := range labels {
		if labels[i], ok = labelKey(label); !ok {
			return "", false
		}
	}
	key := local + "@" + strings.Join(labels, ".")
	return key, len(labels) >= 2 && !isDigits(labels[len(labels)-1]) && len(key) <= maxKeyOctets
}

// MustKey is Key for an address that is known to be valid. It panics if it is not.
func MustKey(email string) string {
	key, ok := Key(email)
	if !ok {
		panic("address: a valid address has no key")
	}
	return key
}

// localKey returns the key of a local part. The key is a valid local part, too.
func localKey(local string) (string, bool) {
	if text, ok := unquote(local); ok {
		if local = folding.Case(text); !isDotted(local) {
			return quote(local), true
		}
	}
	return folding.Case(local), isDotted(local)
}

// registered converts a label to ASCII. It refuses what registries do not register, and what other
// implementations map to something else or drop. It allows symbols, because domains that are older
// than IDNA 2008 have them.
var registered = idna.New(idna.ValidateForRegistration(), idna.CheckHyphens(false), idna.CheckJoiners(true),
	idna.BidiRule(), idna.StrictDomainName(true))

// labelKey returns the key of one label of a domain: the label in ASCII, as an A-label if it holds
// other characters. A label that is given as an A-label must be valid when it is decoded.
func labelKey(label string) (string, bool) {
	label = norm.NFC.String(label)
	if strings.ContainsRune(label, dottedCapitalI) {
		return "", false
	}
	key, err := registered.ToASCII(strings.Map(unicode.ToLower, label))
	if err != nil {
		return "", false
	}
	shown, err := idna.Punycode.ToUnicode(key)
	return key, err == nil && strings.Trim(shown, "-") == shown && !strings.HasPrefix(shown, "xn--") &&
		!strings.ContainsFunc(shown, isForbidden)
}

// dottedCapitalI has no lower-case letter that is the same in all locales.
const dottedCapitalI = '\u0130'
