// Package folding makes the keys that are stored beside texts, to compare, search and sort the texts by.
// Postgres does not make them: what lower() and collations do there depends on a locale, and under
// row-level security only leakproof operators may use an index.
package folding

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Case maps texts that differ only in letter case or in their Unicode composition to one text. Each
// letter stays one letter, so ß, ligatures and the dotless i stand alone.
func Case(text string) string {
	return norm.NFC.String(strings.Map(foldRune, norm.NFC.String(text)))
}

// foldRune returns one rune for all that differ from r in letter case alone.
func foldRune(r rune) rune {
	if unicode.SimpleFold(r) == r {
		return r
	}
	return unicode.ToLower(unicode.ToUpper(r))
}

// Search maps texts that somebody who searches takes for the same to one text: those that differ in
// letter case (ß is ss), in the marks of Latin, Greek and Cyrillic letters, in the kind of apostrophe, and
// in the kind and length of white space. Other scripts keep their marks, which are vowels there.
func Search(text string) string {
	var plain strings.Builder
	inSpace := false
	for _, r := range withoutMarks(fold(withoutMarks(text))) {
		if base, ok := crossed[r]; ok {
			r = base
		}
		isSpace := unicode.IsSpace(r)
		switch {
		case isSpace && inSpace:
		case isSpace:
			plain.WriteByte(' ')
		case strings.ContainsRune(apostrophes, r):
			plain.WriteByte('\'')
		default:
			plain.WriteRune(r)
		}
		inSpace = isSpace
	}
	return norm.NFC.String(plain.String())
}

// crossed are the letters whose mark Unicode does not take off.
var crossed = map[rune]rune{'ø': 'o', 'ł': 'l', 'đ': 'd', 'ħ': 'h', 'ŧ': 't'}

// apostrophes are the characters that people and keyboards write as an apostrophe, decomposed.
const apostrophes = "`\u00B4\u02B9\u02BB\u02BC\u02BD\u02C8\u055A\u05F3\u07F4\u07F5\u1FBD\u1FBF\u1FFE" +
	"\u2018\u2019\u201B\u2032\u2035\u275B\u275C\uA78C\uFF07"

// withoutMarks decomposes a text and drops the marks of Latin, Greek and Cyrillic letters.
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

// fold is full case folding.
func fold(text string) string { return strings.Map(foldCherokee, cases.Fold().String(text)) }

// foldCherokee maps Cherokee letters to capitals, which is how Unicode folds this one script. cases.Fold
// swaps its capitals and its small letters instead.
func foldCherokee(r rune) rune {
	if unicode.Is(unicode.Cherokee, r) {
		return unicode.ToUpper(r)
	}
	return r
}

// IsInvisible reports whether nothing of a character shows, or may show: format characters,
// characters that Unicode lets fonts ignore, and the blank of Braille.
func IsInvisible(r rune) bool {
	return r >= utf8.RuneSelf && (r == '\u2800' ||
		unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
}

// HasInvisible reports whether a text has an invisible character.
func HasInvisible(text string) bool { return strings.ContainsFunc(text, IsInvisible) }

// IsBlank reports whether a text has nothing but white space and invisible characters.
func IsBlank(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsSpace(r) && !IsInvisible(r) })
}
