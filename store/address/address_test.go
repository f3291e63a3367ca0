package address

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// The golden file was made by another implementation: Python's str, unicodedata and punycode. Keys
// are stored, so a changed key, for example because of a newer Unicode version, needs a migration.
func TestEmailKeysAreGolden(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/email_keys.json")
	require.NoError(t, err)
	var cases []struct {
		Why, Email string
		Key        *string // nil if the email is refused
	}
	require.NoError(t, json.Unmarshal(text, &cases))
	require.NotEmpty(t, cases)

	for _, c := range cases {
		t.Run(c.Why, func(t *testing.T) {
			t.Parallel()
			ok := IsValid(c.Email)
			require.Equal(t, c.Key != nil, ok)
			if !ok {
				return
			}
			require.Equal(t, *c.Key, MustKey(c.Email))
			require.Equal(t, *c.Key, MustKey(*c.Key))
		})
	}
}

func TestEmailKeyProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		email := address().Draw(t, "email")
		key := MustKey(email)
		same := func(what, variant string) {
			t.Helper()
			other, ok := Key(variant)
			require.True(t, ok, "%s: %+q", what, variant)
			require.Equal(t, key, other, "%s: %+q", what, variant)
		}
		same("key of the key", key)
		same("NFC", norm.NFC.String(email))
		same("NFD", norm.NFD.String(email))
		same("capital ASCII", mapASCII(unicode.ToUpper, email))
		same("small ASCII", mapASCII(unicode.ToLower, email))

		at := strings.LastIndexByte(email, '@')
		local, domain := email[:at], email[at+1:]
		same("local part in another case", otherCase(t, local)+"@"+domain)
		for _, composition := range []norm.Form{norm.NFC, norm.NFD} {
			same("domain in capitals", local+"@"+composition.String(capitals(domain)))
		}
		same("domain encoded", local+"@"+key[strings.LastIndexByte(key, '@')+1:])
		if isDotted(local) {
			same("local part in quotes", quote(local)+"@"+domain)
		}
		require.LessOrEqual(t, len(key), 3*MaxOctets+len("xn--")*128)
		require.True(t, IsValid(key), "a key is an address itself: %+q", key)
	})
}

// All characters are tried in a domain. Two of them have the same key only if they differ in letter
// case or in composition. A final sigma is not another case of sigma there.
func TestDomainsOfEveryCharacter(t *testing.T) {
	t.Parallel()
	runesOf := make(map[string][]rune) // by key
	for r := range unicode.MaxRune + 1 {
		key, ok := labelKey("x" + string(r))
		if !utf8.ValidRune(r) || !ok {
			continue
		}
		runesOf[key] = append(runesOf[key], r)
		for _, variant := range []string{key, norm.NFD.String("x" + string(r)), "X" + string(r)} {
			if again, _ := labelKey(variant); again != key {
				t.Errorf("%U: the key of %+q is %q, not %q", r, variant, again, key)
			}
		}
	}
	require.Greater(t, len(runesOf), 90_000)
	for key, runes := range runesOf {
		first := unicode.ToLower([]rune(norm.NFC.String(string(runes[0])))[0])
		for _, r := range runes[1:] {
			if lower := unicode.ToLower([]rune(norm.NFC.String(string(r)))[0]); lower != first {
				t.Errorf("%U and %U have the key %s", runes[0], r, key)
			}
		}
	}
	require.NotEqual(t, MustKey("a@οδος.example"), MustKey("a@οδοσ.example"))
	require.Equal(t, MustKey("a@οδοσ.example"), MustKey("a@ΟΔΟΣ.example"))
}

// Emails that differ in more than letter case and composition have different keys.
func TestEmailKeyKeepsApart(t *testing.T) {
	t.Parallel()
	addresses := []string{
		"i@example.com", "ı@example.com", "İ@example.com", "ａ@example.com", "a@example.com", "а@example.com", // the last one is Cyrillic
		"a@example.org", "a@exämple.com", "a+b@example.com", "a.b@example.com", "ab@example.com", "é@example.com", "e@example.com",
	}
	seen := make(map[string]string)
	for _, email := range addresses {
		key := MustKey(email)
		require.NotContains(t, seen, key, email)
		seen[key] = email
	}
}

// awkward are characters with unusual folding or composition.
var awkward = []rune("iıİIßẞſKÅσςΣéÉ\u0301\u0307\u0323\u0345\u0338\u034F\u0315\u200D" +
	"ΐΰᾳᾼᾴῼŉǰﬁﬃև\u1E96ǅǆᲐაꭰᎠᏰᏸꮳ한\u1112\u1161\u11AB𐐀𐐨ａＡ例ὲὴι\u1FBEΙάᾀẛẟℵ≠<>=\u0F73\u0F71\u0F72\u09C7\u09BE")

// character draws an assigned character, often an awkward or an ASCII one.
func character() *rapid.Generator[rune] {
	return rapid.OneOf(
		rapid.SampledFrom(awkward),
		rapid.RuneFrom([]rune("abcXYZ019")),
		rapid.RuneFrom(nil, unicode.L, unicode.M),
		rapid.RuneFrom(nil, unicode.M),
		rapid.RuneFrom(nil, unicode.N, unicode.P, unicode.S),
	)
}

// alphabets have one script each, because labels that mix directions are refused.
var alphabets = []string{"abcxyz019-", "äößéñåxn-", "λόγοςσάϊ", "жяйёщ", "漢字かなゕ", "한국어", "עברית", "نامهای", "हिन्दी", "☃💩x"}

// address draws a valid address with any characters in the local part, and a domain in several
// scripts.
func address() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		one := rapid.OneOf(character(), rapid.RuneFrom([]rune(atext+".")))
		local := rapid.StringOfN(one, 1, 30, -1).Draw(t, "local")
		if rapid.Bool().Draw(t, "quoted") {
			local = quote(local + rapid.SampledFrom([]string{"", " x", "@", `"`, `\`}).Draw(t, "beyond atoms"))
		}
		var labels []string
		for range rapid.IntRange(2, 3).Draw(t, "labels") {
			letters := []rune(rapid.SampledFrom(alphabets).Draw(t, "alphabet"))
			label := rapid.StringOfN(rapid.RuneFrom(letters), 1, 6, -1).Draw(t, "label")
			if key, ok := labelKey(label); ok && rapid.Bool().Draw(t, "encoded") {
				label = key
			}
			labels = append(labels, label)
		}
		return local + "@" + strings.Join(labels, ".")
	}).Filter(func(email string) bool {
		return IsValid(email) && len(email) <= MaxOctets && !dottedI.MatchString(norm.NFD.String(email))
	})
}

// dottedI matches an i whose capital would compose to the dotted capital I, which has a key of its
// own.
var dottedI = regexp.MustCompile(`[iI]\p{M}*\x{0307}`)

// capitals returns the domain in upper case, except for the final sigma, whose capital is that of
// sigma.
func capitals(domain string) string {
	return strings.Map(func(r rune) rune {
		if r == 'ς' {
			return r
		}
		return unicode.ToUpper(r)
	}, domain)
}

// otherCase changes the letter case of characters at random. It leaves a text with an iota
// subscript unchanged, and never makes one. That is a mark whose capital is a letter, so the marks
// after it would belong to another character.
func otherCase(t *rapid.T, text string) string {
	if strings.ContainsRune(norm.NFD.String(text), '\u0345') {
		return text
	}
	return strings.Map(func(r rune) rune {
		if r == 'ι' || r == 'Ι' || r == '\u1FBE' {
			return r
		}
		for range rapid.IntRange(0, 3).Draw(t, "turns") {
			r = unicode.SimpleFold(r)
		}
		return r
	}, text)
}

func mapASCII(change func(rune) rune, text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 {
			return change(r)
		}
		return r
	}, text)
}
