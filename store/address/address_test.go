package address

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// The golden file was made by another implementation (Python's casefold, unicodedata and punycode). Keys are stored, so
// a key that changes, say with a newer Unicode, needs a migration.
func TestEmailKeysAreGolden(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/email_keys.json")
	require.NoError(t, err)
	var cases []struct {
		Why, Email string
		Key        *string // nil: refused
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

// Every single character there is, in the Unicode version of Go's own tables.
func TestFoldOfEveryCharacter(t *testing.T) {
	t.Parallel()
	for r := range unicode.MaxRune + 1 {
		if r >= 0xD800 && r <= 0xDFFF {
			continue
		}
		folded := Fold(string(r))
		if Fold(folded) != folded {
			t.Errorf("%U: fold is not idempotent", r)
		}
		if Fold(norm.NFD.String(string(r))) != folded {
			t.Errorf("%U: the decomposed form folds differently", r)
		}
		for variant := unicode.SimpleFold(r); variant != r; variant = unicode.SimpleFold(variant) {
			if Fold(string(variant)) != folded {
				t.Errorf("%U and %U fold differently", r, variant)
			}
		}
	}
}

func TestFoldProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(character()).Draw(t, "text")
		folded := Fold(text)
		require.Equal(t, folded, Fold(folded), "idempotent")
		require.Equal(t, folded, Fold(norm.NFC.String(text)), "NFC")
		require.Equal(t, folded, Fold(norm.NFD.String(text)), "NFD")
		require.Equal(t, folded, Fold(otherCase(t, text)), "letter case")
	})
}

func TestEmailKeyProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		email := address().Draw(t, "email")
		key := MustKey(email)
		same := func(what, variant string) {
			t.Helper()
			other, err := Key(variant)
			require.NoError(t, err, "%s: %+q", what, variant)
			require.Equal(t, key, other, "%s: %+q", what, variant)
		}
		same("key of the key", key)
		same("NFC", norm.NFC.String(email))
		same("NFD", norm.NFD.String(email))
		same("capital ASCII", mapASCII(unicode.ToUpper, email))
		same("small ASCII", mapASCII(unicode.ToLower, email))

		local, domain, _ := strings.Cut(email, "@")
		same("local part in another case", otherCase(t, local)+"@"+domain)
		for _, composition := range []norm.Form{norm.NFC, norm.NFD} {
			labels := strings.Split(domain, ".")
			for i, label := range labels {
				if !isEncoded(label) {
					labels[i] = composition.String(otherCase(t, label))
				}
			}
			same("domain in another case", local+"@"+strings.Join(labels, "."))
			for i, label := range labels {
				if encoded := encode(label); !isASCII(label) && !isInvalidLabel(label) && len(encoded) <= 63 {
					labels[i] = encoded
				}
			}
			same("domain encoded", local+"@"+strings.Join(labels, "."))
		}

		_, domain, _ = strings.Cut(key, "@")
		require.True(t, isASCII(domain), "the domain of %q", key)
		require.LessOrEqual(t, len(key), 3*MaxOctets+len("xn--")*128)
		require.True(t, IsValid(key), "a key is an address itself: %+q", key)
	})
}

// Two addresses that differ in more than case and composition keep apart.
func TestEmailKeyKeepsApart(t *testing.T) {
	t.Parallel()
	addresses := []string{
		"i@example.com", "ı@example.com", "İ@example.com", "ａ@example.com", "a@example.com", "а@example.com", // the last is Cyrillic
		"a@example.org", "a@exämple.com", "a+b@example.com", "a.b@example.com", "ab@example.com", "é@example.com", "e@example.com",
	}
	seen := make(map[string]string)
	for _, email := range addresses {
		key := MustKey(email)
		require.NotContains(t, seen, key, email)
		seen[key] = email
	}
}

// awkward are characters whose folding or composition is known to be special.
var awkward = []rune("iıİIßẞſKÅσςΣéÉ\u0301\u0307\u0323\u0345\u0338\u034F\u0315\u200D" +
	"ΐΰᾳᾼᾴῼŉǰﬁﬃև\u1E96ǅǆᲐაꭰᎠᏰᏸꮳ한\u1112\u1161\u11AB𐐀𐐨ａＡ例ὲὴι\u1FBEΙάᾀẛẟℵ≠<>=\u0F73\u0F71\u0F72\u09C7\u09BE")

// character draws any character that Unicode has assigned, the awkward ones and ASCII often.
func character() *rapid.Generator[rune] {
	return rapid.OneOf(
		rapid.SampledFrom(awkward),
		rapid.RuneFrom([]rune("abcXYZ019")),
		rapid.RuneFrom(nil, unicode.L, unicode.M),
		rapid.RuneFrom(nil, unicode.M),
		rapid.RuneFrom(nil, unicode.N, unicode.P, unicode.S),
	)
}

// address draws an address that the store accepts: any Unicode in the local part, A-labels and others in the domain.
func address() *rapid.Generator[string] {
	text := func(t *rapid.T, max int, extra, what string) string {
		one := rapid.OneOf(character(), rapid.RuneFrom([]rune(extra)))
		return rapid.StringOfN(one.Filter(func(r rune) bool {
			return (r >= 0x80 || isLetterOrDigit(r) || strings.ContainsRune(extra, r)) && !unicode.Is(unicode.Cf, r)
		}), 1, max, -1).Draw(t, what)
	}
	return rapid.Custom(func(t *rapid.T) string {
		var atoms, labels []string
		for range rapid.IntRange(1, 3).Draw(t, "atoms") {
			atoms = append(atoms, text(t, 12, atext, "atom"))
		}
		for range rapid.IntRange(2, 3).Draw(t, "labels") {
			label := text(t, 6, "a-", "label")
			if !isASCII(label) && rapid.Bool().Draw(t, "encoded") {
				label = encode(label)
			}
			labels = append(labels, label)
		}
		return strings.Join(atoms, ".") + "@" + strings.Join(labels, ".")
	}).Filter(func(email string) bool {
		return IsValid(email) && len(email) <= MaxOctets
	})
}

func encode(label string) string {
	encoded, err := idna.Punycode.ToASCII(label)
	if err != nil {
		return label
	}
	return encoded
}

// otherCase puts letters into other cases. Texts with the iota subscript are left alone, and no iota becomes one: it is a
// mark, and its capital a letter, so that the marks that follow it would belong to something else.
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
