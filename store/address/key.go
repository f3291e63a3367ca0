package address

import (
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"lumen/store/folding"
)

// maxKeyOctets keeps the longest key well inside what a btree entry holds (2,704 bytes with the ids
// beside it). Folding lengthens text at most threefold.
const maxKeyOctets = 1024

// Key returns the text that equal addresses share, false for what is no address. It is idempotent: the
// key of a key is that key.
//
// Local parts are equal that differ in letter case or composition alone, or that say the same with
// quotes and without. Domains are equal that IDNA 2008 registers as one: so straße and strasse are two, and
// a final sigma is a letter of its own.
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

// MustKey is Key for an address that IsValid has accepted.
func MustKey(email string) string {
	key, ok := Key(email)
	if !ok {
		panic("address: a valid address has no key")
	}
	return key
}

// localKey returns the key of a local part, which has the form of a local part itself.
func localKey(local string) (string, bool) {
	if text, ok := unquote(local); ok {
		if local = folding.Case(text); !isDotted(local) {
			return quote(local), true
		}
	}
	return folding.Case(local), isDotted(local)
}

// registered refuses what a registry does not take, and what other implementations would map to
// something else or drop. Symbols pass, which stand in domains that are older than IDNA 2008.
var registered = idna.New(idna.ValidateForRegistration(), idna.CheckHyphens(false), idna.CheckJoiners(true),
	idna.BidiRule(), idna.StrictDomainName(true))

// labelKey returns the key of one label of a domain: in ASCII, with an A-label for what is beyond. An
// A-label that comes in is checked like the label that it encodes.
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

// dottedCapitalI has no lower case that all locales agree on.
const dottedCapitalI = '\u0130'
