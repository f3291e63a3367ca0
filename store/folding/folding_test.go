package folding

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// All characters are tried. Two fold to the same text only if they differ in letter case or in
// composition.
func TestCaseOfEveryCharacter(t *testing.T) {
	t.Parallel()
	runesOf := make(map[string][]rune) // by folded text
	for r := range unicode.MaxRune + 1 {
		if !utf8.ValidRune(r) {
			continue
		}
		folded := Case(string(r))
		runesOf[folded] = append(runesOf[folded], r)
		if Case(folded) != folded {
			t.Errorf("%U: folding is not idempotent", r)
		}
		if Case(norm.NFD.String(string(r))) != folded {
			t.Errorf("%U: the decomposed form folds differently", r)
		}
		for variant := unicode.SimpleFold(r); variant != r; variant = unicode.SimpleFold(variant) {
			if Case(string(variant)) != folded {
				t.Errorf("%U and %U fold differently", r, variant)
			}
		}
	}
	for folded, runes := range runesOf {
		if len(runes) == 1 {
			continue
		}
		same := equals(runes[0])
		for _, r := range runes {
			if !same[r] {
				t.Errorf("%U and %U both fold to %+q", runes[0], r, folded)
			}
		}
	}
}

// equals returns the characters that differ from r only in letter case and in composition.
func equals(r rune) map[rune]bool {
	found := map[rune]bool{}
	for next := []rune{r}; len(next) > 0; {
		r, next = next[0], next[1:]
		if found[r] {
			continue
		}
		found[r] = true
		next = append(next, unicode.SimpleFold(r))
		if composed := []rune(norm.NFC.String(string(r))); len(composed) == 1 {
			next = append(next, composed[0])
			for twin := range singletons()[composed[0]] {
				next = append(next, twin)
			}
		}
	}
	return found
}

var known map[rune]map[rune]bool

// singletons returns, for each character, the other characters that NFC replaces by it.
func singletons() map[rune]map[rune]bool {
	if known == nil {
		known = map[rune]map[rune]bool{}
		for r := range unicode.MaxRune + 1 {
			if composed := []rune(norm.NFC.String(string(r))); utf8.ValidRune(r) && len(composed) == 1 && composed[0] != r {
				if known[composed[0]] == nil {
					known[composed[0]] = map[rune]bool{}
				}
				known[composed[0]][r] = true
			}
		}
	}
	return known
}

// text draws texts of assigned characters, often of characters that a search treats as equal.
func text() *rapid.Generator[string] {
	return rapid.StringOf(rapid.OneOf(
		rapid.RuneFrom([]rune("aZéÉσςΣßẞİıſKйЙάᾳᾼ\u0301\u0345\u0308'’ʼ` \u00A0\u2003ŉǰﬁ\u0F73\u0F71हि")),
		rapid.RuneFrom(nil, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Zs),
	))
}

func TestFoldingProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := text().Draw(t, "text")
		for name, fold := range map[string]func(string) string{"Case": Case, "Search": Search} {
			folded := fold(text)
			require.Equal(t, folded, fold(folded), "%s is idempotent", name)
			require.Equal(t, folded, fold(norm.NFC.String(text)), "%s of NFC", name)
			require.Equal(t, folded, fold(norm.NFD.String(text)), "%s of NFD", name)
		}
	})
}

// These lists hold texts that people consider equal, and pairs that they do not.
func TestSearch(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"jose", "José", "JOSÉ", "Jose\u0301", "joſe"},
		{"o'brien", "O’Brien", "O‘Brien", "OʼBrien", "O`Brien", "O´Brien", "O＇Brien", "O′Brien"},
		{"ann lee", "Ann  Lee", "Ann\u00A0Lee", "Ann\u2003\u2009Lee", "Ann\u3000Lee"},
		{"strasse", "Straße", "STRASSE", "STRAẞE"},
		{"οδοσ", "οδός", "ΟΔΟΣ", "Ὁδός"},
		{"αδησ", "ᾍδης", "ᾳδης", "άδης"},
		{"иоан", "Йоан", "иоан", "И\u0306оан"},
		{"lodz", "Łódź"}, {"sorensen", "Sørensen", "SØRENSEN"}, {"dang", "Đặng"},
		{"istanbul", "İstanbul", "Istanbul"},
		{"nguyen", "Nguyễn", "NGUYỄN"},
		{"हिन्दी", "हिन्दी"},
		{"أحمد", "أحمد", "ا\u0654حمد"},
	} {
		for _, text := range same[1:] {
			require.Equal(t, same[0], Search(text), "%q", text)
		}
	}
	for _, apart := range [][2]string{
		{"कि", "क"},      // a vowel of Devanagari
		{"がく", "かく"},     // the voicing mark of kana
		{"أحمد", "احمد"}, // hamza
		{"ısparta", "isparta"},
		{"a b", "ab"},
		{"שָׁלוֹם", "שלום"},
	} {
		require.NotEqual(t, Search(apart[0]), Search(apart[1]), "%q", apart)
	}
}

func TestIsBlank(t *testing.T) {
	t.Parallel()
	for _, blank := range []string{"", " ", "\u00A0", "\u200B", "\u034F", "\u3164", "\u2800", "\uFE0F", "\u00AD", "\U000E0020", "\u200D \u2060", "\u115F\uFFA0"} {
		require.True(t, IsBlank(blank), "%+q", blank)
	}
	for _, shown := range []string{"a", " a ", "\u0301", "\u0000", "💩", "\uFFFD", "\xFF"} {
		require.False(t, IsBlank(shown), "%+q", shown)
	}
}
