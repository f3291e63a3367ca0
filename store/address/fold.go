package address

import (
	"errors"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold maps texts that differ only in letter case or in their Unicode composition to one text: NFC,
// full case folding, NFC. The result is stored, because lower() in Postgres depends on a locale.
func Fold(text string) string {
	return norm.NFC.String(strings.Map(foldCherokee, cases.Fold().String(norm.NFC.String(text))))
}

// foldCherokee maps Cherokee letters to capitals, which is how Unicode folds this one script. cases.Fold swaps its
// capitals and its small letters instead.
func foldCherokee(r rune) rune {
	if unicode.Is(unicode.Cherokee, r) {
		return unicode.ToUpper(r)
	}
	return r
}

var errNotAnAddress = errors.New("not an email address")

// Key returns the text that equal addresses share: the folded local part, and the folded domain in
// its ASCII form. It is idempotent: the key of a key is that key.
func Key(email string) (string, error) {
	at := strings.LastIndexByte(email, '@')
	if at < 0 {
		return "", errNotAnAddress
	}
	labels := strings.Split(email[at+1:], ".")
	for i, label := range labels {
		key, err := labelKey(label)
		if err != nil {
			return "", err
		}
		labels[i] = key
	}
	return Fold(email[:at]) + "@" + strings.Join(labels, "."), nil
}

// labelKey returns the key of one label of a domain. A label that claims to be encoded and is not, or that encodes
// nothing but ASCII, is refused: its key would not be stable. So is one that encodes what is refused in the open.
func labelKey(label string) (string, error) {
	if isEncoded(label) {
		decoded, err := idna.Punycode.ToUnicode(strings.ToLower(label))
		if err != nil || isASCII(decoded) || isInvalidLabel(decoded) {
			return "", errNotAnAddress
		}
		label = decoded
	}
	folded := Fold(label)
	encoded, err := idna.Punycode.ToASCII(folded)
	if err != nil || len(encoded) > 63 || isASCII(folded) && isEncoded(folded) {
		return "", errNotAnAddress
	}
	return encoded, nil
}

// isEncoded reports whether a label has the prefix of an A-label, in any letter case.
func isEncoded(label string) bool {
	return len(label) >= 4 && strings.EqualFold(label[:4], "xn--")
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}
