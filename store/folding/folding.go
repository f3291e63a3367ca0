// Package folding computes the keys that are stored beside texts and used to compare, search and
// sort them. Postgres does not compute them, because its lower() and its collations depend on the
// locale, and because under row-level security only leakproof operators may use an index.
package folding

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Case returns the same text for all texts that differ only in letter case or Unicode composition.
// Every letter remains one letter, so ß, ligatures and the dotless i keep their own identity.
func Case(text string) string {
	return norm.NFC.String(strings.Map(foldRune, norm.NFC.String(text)))
}

// foldRune returns the same rune for all runes that differ from r only in letter case.
func foldRune(r rune) rune {
	if unicode.SimpleFold(r) == r {
		return r
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

// Search returns the same text for all texts that a search treats as equal. It ignores letter case
// (ß equals ss), the marks of Latin, Greek and Cyrillic letters, the kind of apostrophe, and the
// kind and length of white space. Other scripts keep their marks, which are vowels there.
func Search(text string) string {
	var folded strings.Builder
	inSpace := false
	for _, r := range withoutMarks(fold(withoutMarks(text))) {
		if base, ok := crossed[r]; ok {
			r = base
		}
		isSpace := unicode.IsSpace(r)
		switch {
		case isSpace && inSpace:
		case isSpace:
			folded.WriteByte(' ')
		case strings.ContainsRune(apostrophes, r):
			folded.WriteByte('\'')
		default:
			folded.WriteRune(r)
		}
		inSpace = isSpace
	}
	return norm.NFC.String(folded.String())
}

// crossed maps letters with a stroke, which Unicode does not decompose, to the letters without it.
var crossed = map[rune]rune{'ø': 'o', 'ł': 'l', 'đ': 'd', 'ħ': 'h', 'ŧ': 't'}

// apostrophes are the characters that people and keyboards use for an apostrophe, in decomposed
// form.
const apostrophes = "`\u00B4\u02B9\u02BB\u02BC\u02BD\u02C8\u055A\u05F3\u07F4\u07F5\u1FBD\u1FBF\u1FFE" +
	"\u2018\u2019\u201B\u2032\u2035\u275B\u275C\uA78C\uFF07"

// withoutMarks decomposes a text and removes the marks of Latin, Greek and Cyrillic letters.
func withoutMarks(text string) string {
	marked := false
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			if marked {
				return -1
			}
			return r
		}
		marked = unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic)
		return r
	}, norm.NFD.String(text))
}

// fold applies full case folding.
func fold(text string) string { return strings.Map(foldCherokee, cases.Fold().String(text)) }

// foldCherokee maps Cherokee letters to capitals, as Unicode folds this script. cases.Fold instead
// swaps the case of each letter.
func foldCherokee(r rune) rune {
	if unicode.Is(unicode.Cherokee, r) {
		return unicode.ToUpper(r)
	}
	return r
}

// IsInvisible reports whether a character is invisible or may be: a format character, a character
// that Unicode lets fonts ignore, or the blank Braille pattern.
func IsInvisible(r rune) bool {
	return r >= utf8.RuneSelf && (r == '\u2800' ||
		unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
}

// HasInvisible reports whether a text holds an invisible character.
func HasInvisible(text string) bool { return strings.ContainsFunc(text, IsInvisible) }

// IsBlank reports whether a text holds only white space and invisible characters.
func IsBlank(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsSpace(r) && !IsInvisible(r) })
}
