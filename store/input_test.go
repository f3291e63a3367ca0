package store

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// valid returns an input in which every field has a value that is stored unchanged.
func valid() Input {
	return Input{
		"email": "ann@example.com", "name": "Ann", "userId": "user_1",
		"billingAddressLine1": "1 Main Street", "billingAddressLine2": "Floor 2", "billingCity": "Springfield",
		"billingPostalCode": "12345", "billingCountry": "US", "taxId": "DE123456789",
	}
}

// absent stands for a field that an input does not hold.
type absent struct{}

// with returns valid with another value for one field.
func with(name string, value any) Input {
	in := valid()
	in[name] = value
	if value == (absent{}) {
		delete(in, name)
	}
	return in
}

// normalized returns the stored form of a customer's input.
func normalized(in Input, creating bool) (Input, error) {
	out, err := normalizeCustomer(in, creating)
	return Input(out), err
}

// fieldNames are the documented names of a customer's writable fields.
var fieldNames = func() (names []string) {
	for _, input := range customers.Inputs() {
		if input.Kind != FlagKind {
			names = append(names, input.Name)
		}
	}
	return names
}()

var errEmailRequired = &Error{Code: EmailRequired, Message: "Email is required", Noun: "customer", Field: "email"}

// lengths are the documented maximum lengths, in code points.
var lengths = map[string]int{
	"name": 255, "userId": 255, "billingAddressLine1": 255, "billingAddressLine2": 255, "billingCity": 255,
	"billingPostalCode": 32, "taxId": 64,
}

// withoutInvisible are the fields that refuse invisible characters.
var withoutInvisible = []string{"email", "userId", "billingPostalCode", "taxId"}

// optional are the fields that may be null, in the documented order.
func optional() []string { return fieldNames[1:] }

func TestFieldsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"email", "name", "userId", "billingAddressLine1", "billingAddressLine2", "billingCity", "billingPostalCode",
		"billingCountry", "taxId",
	}, fieldNames)
	require.ElementsMatch(t, append(slices.Collect(maps.Keys(lengths)), "email", "billingCountry"), fieldNames)
}

func TestFieldLeavesValuesAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, creating := range []bool{true, false} {
		out, err := normalized(valid(), creating)
		require.NoError(t, err)
		require.Equal(t, valid(), out)
	}
}

func TestNothingSaidIsNothingDone(t *testing.T) {
	t.Parallel()
	out, err := normalized(Input{}, false)
	require.NoError(t, err)
	require.Equal(t, Input{}, out)
}

func TestWhiteSpaceIsTrimmed(t *testing.T) {
	t.Parallel()
	// The 25 characters with the Unicode property White_Space.
	const space = "\t\n\v\f\r \u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000"
	want := valid()
	for _, name := range fieldNames {
		value := want[name].(string)
		for _, padded := range []string{space + value, value + space, space + value + space} {
			out, err := normalized(with(name, padded), true)
			require.NoError(t, err, name)
			require.Equal(t, want, out)
		}
	}
}

func TestWhiteSpaceWithinStays(t *testing.T) {
	t.Parallel()
	for name := range lengths {
		for _, value := range []string{"a  b", "a\u00A0b", "a\u3000b", "a\u2028b"} {
			out, err := normalized(with(name, value), true)
			require.NoError(t, err, "%s %q", name, value)
			require.Equal(t, with(name, value), out)
		}
	}
}

func TestEmptyIsNull(t *testing.T) {
	t.Parallel()
	for _, name := range optional() {
		for what, value := range map[string]any{
			"null": nil, "empty": "", "blank": " \t\u00A0\n",
		} {
			for _, creating := range []bool{true, false} {
				out, err := normalized(with(name, value), creating)
				require.NoError(t, err)
				require.Equal(t, with(name, nil), out, "%s, %s", name, what)
			}
		}
		out, err := normalized(with(name, absent{}), true)
		require.NoError(t, err)
		require.Equal(t, with(name, absent{}), out, "%s, absent", name)
	}
}

func TestEmailIsRequired(t *testing.T) {
	t.Parallel()
	for what, value := range map[string]any{
		"null": nil, "empty": "", "blank": " \t\u00A0\n",
	} {
		for _, creating := range []bool{true, false} {
			_, err := normalized(with("email", value), creating)
			require.Equal(t, errEmailRequired, err, "%s, creating: %v", what, creating)
		}
	}
	_, err := normalized(with("email", absent{}), true)
	require.Equal(t, errEmailRequired, err)
	_, err = normalized(with("email", absent{}), false)
	require.NoError(t, err)

	t.Run("and hides all other faults", func(t *testing.T) {
		t.Parallel()
		in := Input{
			"name": "a\x00", "userId": strings.Repeat("x", 256), "billingCountry": "XX",
			"taxId": Mistyped{}, DangerousFlag: Mistyped{},
		}
		_, err := normalized(in, true)
		require.Equal(t, errEmailRequired, err)
		in["email"] = " "
		_, err = normalized(in, false)
		require.Equal(t, errEmailRequired, err)
	})
	t.Run("unless its value has a wrong type", func(t *testing.T) {
		t.Parallel()
		for _, creating := range []bool{true, false} {
			_, err := normalized(Input{"email": Mistyped{}}, creating)
			require.Equal(t, Invalid(CustomerFault("email", WrongType)), err)
		}
	})
}

func TestLengths(t *testing.T) {
	t.Parallel()
	for name, max := range lengths {
		for _, character := range []string{"x", "é", "例", "\U0001F600"} {
			longest := strings.Repeat(character, max)
			out, err := normalized(with(name, longest), true)
			require.NoError(t, err, "%s of %d %s", name, max, character)
			require.Equal(t, with(name, longest), out)

			_, err = normalized(with(name, "  "+longest+"  "), true)
			require.NoError(t, err, "trimmed white space does not count")

			for _, longer := range []string{longest + character, strings.Repeat(character, 1<<20)} {
				_, err = normalized(with(name, longer), true)
				require.Equal(t, Invalid(CustomerFault(name, TooLong)), err)
			}
		}
		out, err := normalized(with(name, "x"), true)
		require.NoError(t, err)
		require.Equal(t, with(name, "x"), out)
	}
}

func TestEmailLength(t *testing.T) {
	t.Parallel()
	domain := "@" + strings.Repeat("d", 63) + "." + strings.Repeat("e", 63) + ".example"
	for _, c := range []struct {
		name, email string
		octets      int
		fits        bool
	}{
		{"254 octets of ASCII", strings.Repeat("a", 254-len(domain)) + domain, 254, true},
		{"255 octets of ASCII", strings.Repeat("a", 255-len(domain)) + domain, 255, false},
		{"254 octets in half as many characters", strings.Repeat("é", 121) + "@example.com", 254, true},
		{"255 octets in half as many characters", strings.Repeat("é", 121) + "a@example.com", 255, false},
		{"320 octets", strings.Repeat("a", 64) + "@" + strings.Repeat(strings.Repeat("d", 63)+".", 4)[:255], 320, false},
		{"five megabytes", strings.Repeat("a", 5<<20) + "@example.com", 5<<20 + 12, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Len(t, c.email, c.octets)
			out, err := normalized(with("email", c.email), true)
			if !c.fits {
				require.Equal(t, Invalid(CustomerFault("email", TooLong)), err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, with("email", c.email), out)
		})
	}
}

// ignorable are the ranges of Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt,
// and the blank Braille pattern.
var ignorable = [][2]rune{
	{0xAD, 0xAD}, {0x34F, 0x34F}, {0x61C, 0x61C}, {0x115F, 0x1160}, {0x17B4, 0x17B5}, {0x180B, 0x180F}, {0x200B, 0x200F},
	{0x202A, 0x202E}, {0x2060, 0x206F}, {0x3164, 0x3164}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFF8},
	{0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0000, 0xE0FFF}, {0x2800, 0x2800},
}

// Every field is tried with every control character and every invisible character.
func TestForbiddenCharacters(t *testing.T) {
	t.Parallel()
	for _, name := range fieldNames {
		if name == "billingCountry" {
			continue // below
		}
		in := valid()
		value := in[name].(string)
		for r := range unicode.MaxRune + 1 {
			control := unicode.Is(unicode.Cc, r)
			invisible := unicode.Is(unicode.Cf, r) || slices.ContainsFunc(ignorable, func(span [2]rune) bool {
				return span[0] <= r && r <= span[1]
			})
			if !control && !invisible {
				continue
			}
			text := value[:1] + string(r) + value[1:]
			out, err := normalized(with(name, text), true)
			if control || slices.Contains(withoutInvisible, name) {
				require.Equal(t, Invalid(CustomerFault(name, ForbiddenCharacter)), err, "%s with %U", name, r)
				continue
			}
			require.NoError(t, err, "%s with %U", name, r)
			require.Equal(t, with(name, text), out)
		}
	}
}

func TestForbiddenCharactersAtTheEdges(t *testing.T) {
	t.Parallel()
	for name := range lengths {
		for _, value := range []string{"\x00", "\x00a", "a\x00", "\x7f", "\u009f", "a\x1b[31m"} {
			_, err := normalized(with(name, value), true)
			require.Equal(t, Invalid(CustomerFault(name, ForbiddenCharacter)), err, "%s %q", name, value)
		}
	}
	for _, blank := range []string{"\u200B", "\u3164", "\u2800", "\u034F", " \u00A0\uFEFF"} {
		for name := range lengths {
			out, err := normalized(with(name, blank), true)
			require.NoError(t, err, "%s %q", name, blank)
			require.Equal(t, with(name, nil), out, "%s %q", name, blank)
		}
		for _, creating := range []bool{true, false} {
			_, err := normalized(with("email", blank), creating)
			require.Equal(t, EmailRequired, AsError(err).Code, "%q", blank)
		}
	}
	// A byte order mark is a format character, not white space, so it is not trimmed.
	_, err := normalized(with("userId", "\uFEFFuser"), true)
	require.Equal(t, Invalid(CustomerFault("userId", ForbiddenCharacter)), err)
}

func TestWhatIsNoUTF8IsRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82", "a\xffb"} {
		for _, name := range fieldNames {
			in := valid()
			value := in[name].(string)
			want := Invalid(CustomerFault(name, InvalidFormat))
			_, err := normalized(with(name, value[:1]+bad+value[1:]), true)
			require.Equal(t, want, err, "%s %q", name, bad)

			if name == "email" || name == "userId" || name == "billingCountry" {
				_, faults := customers.resolve(Filter{name: bad})
				require.Equal(t, []Fault{CustomerFault(name, InvalidFormat)}, faults)
			}
		}
		search := "ab" + bad
		_, faults := customers.resolve(Filter{"search": search})
		require.Equal(t, []Fault{NewFault("search", InvalidFormat, searchForm)}, faults)
	}
	// U+FFFD, which decoders put in the place of invalid UTF-8, is an ordinary character.
	_, err := normalized(with("name", "a\uFFFDb"), true)
	require.NoError(t, err)
}

func TestCountries(t *testing.T) {
	t.Parallel()
	codes := strings.Fields(countries)
	require.Len(t, codes, 250, "the assigned codes and XK")
	require.True(t, slices.IsSorted(codes))
	require.Len(t, slices.Compact(slices.Clone(codes)), 250)
	hints := map[string]string{"UK": ": use GB for the United Kingdom", "EL": ": use GR for Greece"}
	refused := func(hint string) error {
		fault := CustomerFault("billingCountry", InvalidFormat)
		fault.Message += hint
		return Invalid(fault)
	}

	accepted := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string(a) + string(b)
			_, err := normalized(with("billingCountry", code), true)
			if !slices.Contains(codes, code) {
				require.Equal(t, refused(hints[code]), err, code)
				continue
			}
			accepted++
			for _, variant := range []string{code, strings.ToLower(code), strings.ToLower(code[:1]) + code[1:], " " + code + "\n"} {
				out, err := normalized(with("billingCountry", variant), true)
				require.NoError(t, err, variant)
				require.Equal(t, with("billingCountry", code), out)
			}
		}
	}
	require.Equal(t, 250, accepted)
	for code, hint := range map[string]string{" uk\n": hints["UK"], "eL": hints["EL"], "U\u212a": ""} {
		_, err := normalized(with("billingCountry", code), true)
		require.Equal(t, refused(hint), err, "%q", code)
		_, faults := customers.resolve(Filter{"billingCountry": code})
		require.Equal(t, refused(hint), Invalid(faults...), "%q", code)
	}

	for _, code := range []string{
		"U", "USA", "840", "U S", "AD AE", "D A", "XX", "EU", "AN", "ZZ", "u\u0131", "\u0131t", "\u0131", "\u017fe", "ＵＳ", "ÄT", "u.", "-", "us ca", strings.Repeat("US", 1000),
	} {
		_, err := normalized(with("billingCountry", code), true)
		require.Equal(t, Invalid(CustomerFault("billingCountry", InvalidFormat)), err, "%q", code)
	}
	for _, code := range []string{"U\x00", "\x00US", "U\x1bS"} {
		_, err := normalized(with("billingCountry", code), true)
		require.Equal(t, Invalid(CustomerFault("billingCountry", ForbiddenCharacter)), err, "%q", code)
	}
}

func TestFaultsComeTogether(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	in := Input{
		"taxId":               long + "\u200b",
		"billingCountry":      "XX",
		"billingPostalCode":   long,
		"billingAddressLine2": "ok",
		"billingAddressLine1": "a\x07",
		"userId":              "a\u202e",
		"name":                long + "\x00",
		"email":               "nobody",
		DangerousFlag:         Mistyped{}, "billingCity": Mistyped{},
	}
	want := Invalid(
		CustomerFault("email", InvalidFormat),
		CustomerFault("name", ForbiddenCharacter), CustomerFault("name", TooLong),
		CustomerFault("userId", ForbiddenCharacter),
		CustomerFault("billingAddressLine1", ForbiddenCharacter),
		CustomerFault("billingCity", WrongType),
		CustomerFault("billingPostalCode", TooLong),
		CustomerFault("billingCountry", InvalidFormat),
		CustomerFault("taxId", ForbiddenCharacter), CustomerFault("taxId", TooLong),
		CustomerFault(DangerousFlag, WrongType),
	)
	for _, creating := range []bool{true, false} {
		_, err := normalized(in, creating)
		require.Equal(t, want, err)
	}

	t.Run("an email that is too long and holds a forbidden character", func(t *testing.T) {
		t.Parallel()
		_, err := normalized(with("email", long+"\u200b@example.com"), true)
		require.Equal(t, Invalid(CustomerFault("email", ForbiddenCharacter), CustomerFault("email", TooLong)), err)
	})
	t.Run("every field with a wrong type", func(t *testing.T) {
		t.Parallel()
		var faults []Fault
		for _, name := range append(slices.Clone(fieldNames), DangerousFlag) {
			faults = append(faults, CustomerFault(name, WrongType))
		}
		in := Input{}
		for _, name := range append([]string{DangerousFlag}, fieldNames...) {
			in[name] = Mistyped{}
		}
		_, err := normalized(in, true)
		require.Equal(t, Invalid(faults...), err)
	})
	t.Run("a wrong type hides the field's other faults", func(t *testing.T) {
		t.Parallel()
		in := with("name", "\x00")
		in["name"] = Mistyped{}
		_, err := normalized(in, true)
		require.Equal(t, Invalid(CustomerFault("name", WrongType)), err)
	})
}

func TestFaultsNeverRepeatTheValue(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	for _, name := range fieldNames {
		for _, value := range []string{canary + "\x00", strings.Repeat(canary, 100)} {
			_, err := normalized(with(name, value), true)
			require.Error(t, err)
			require.NotContains(t, err.Error(), canary)
			for _, f := range AsError(err).Faults {
				require.NotContains(t, f.Message, canary)
			}
		}
	}
}

func TestEmailForm(t *testing.T) {
	t.Parallel()
	for _, email := range []string{
		"a@b.c", "Ann.Example@Example.COM", "a+tag@example.com", "!#$%&'*+-/=?^_`{|}~@example.com", "a.b.c.d@example.com",
		"josé@example.com", "例え@例え.テスト", "\U0001F600@example.com", "-@example.com", "a-@example.com", "_@example.com",
		"1@2.c", ".a@b.c", "a.@b.c", "a..b@b.c", "abc..def@docomo.example", "abc.@ezweb.example", "a@sub.sub.sub.example.com", "a@ex-ample.com", "a@e--x.com", "a@1example.com",
		"a@xn--bcher-kva.example", "a@XN--BCHER-KVA.example", "a@bücher.example", "a@" + strings.Repeat("d", 63) + ".com",
		strings.Repeat("a", 65) + "@example.com", "a=b@example.com",
		`"a"@b.c`, `"a b"@b.c`, `"a@b"@c.d`, `"\""@b.c`, `"\\"@b.c`, `"a\ b"@c.d`, "a@نامه\u200cای.example", "a@xn--mgba3gch31f060k.example",
	} {
		out, err := normalized(with("email", email), true)
		require.NoError(t, err, "%q", email)
		require.Equal(t, with("email", email), out, "stored unchanged")
	}
	for _, email := range []string{
		"a", "@", "a@", "@b.c", "a@b", "a@localhost", "a@b.", "a@.b", "a@b..c", "a@.b.c", "a@b.c.", ".@b.c", "...@b.c", "1@2.3", "a@127.0.0.1",
		"a@@b.c", "a@b@c.d", "@a@b.c", "a b@c.d", "a@b .c", "a @b.c", "a@ b.c", "a\u00A0b@c.d", "a\u3000@c.d", "a@b\u2028.c",
		`""@b.c`, `" "@b.c`, `"a@b.c`, `"a\"@b.c`, `"a"b"@b.c`, `"a".b@c.d`, "\"a\u00A0b\"@c.d", `a"b@c.d`, `a\b@c.d`, "a(b)@c.d", "a,b@c.d", "a;b@c.d", "a:b@c.d", "<a@b.c>", "Ann <a@b.c>", "mailto:a@b.c", "a[b@c.d",
		"a\u037Eb@c.d", "a@b\u037Ec.d", "a@[127.0.0.1]", "a@[IPv6:::1]", "a@-b.c", "a@b-.c", "a@b.-c", "a@b.c-", "a@-.c", "a@b_c.d", "a@b+c.d", "a@b!c.d", "a@b/c.d", "a@b%c.d", "a@b:25.c",
		"a@xn--.c", "a@xn--é.c", "a@XN--é.c", "a@xn--a.c", "a@xn--abc-.c", "a@xn--999999999.c", "a@b.xn--0", "a@xN--abc.c", "a@" + strings.Repeat("d", 64) + ".com",
		"a@" + strings.Repeat("ü", 60) + ".com", "a@xn--evil.-fsa.c", "a@xn--evil@-fsa.c", "a@xn--a/-cja.c", "a@xn----bga.c",
	} {
		_, err := normalized(with("email", email), true)
		require.Equal(t, Invalid(CustomerFault("email", InvalidFormat)), err, "%q", email)
	}
	for _, email := range []string{
		"a\r\nBcc: b@example.com", "a@b.c\r\nBcc: d@e.f", "a\n@b.c", "a\t@b.c", "a\x00@b.c", "a@b\x00.c", "a\u200b@b.c", "a\u202e@b.c", "\uFEFFa@b.c", "a@b\u00AD.c", "a@b.c\u2060", "a\u034F@b.c", "\u3164@b.c", "a\u2800@b.c", "a@b\u2800.c", "a\u200D@b.c", "a\uFE0F@b.c",
	} {
		_, err := normalized(with("email", email), true)
		require.Equal(t, Invalid(CustomerFault("email", ForbiddenCharacter)), err, "%q", email)
	}
}

func TestFilterFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		filter Filter
		faults []Fault
	}{
		{"empty texts", Filter{"email": " ", "userId": "", "billingCountry": "\n", "search": ""}, []Fault{
			CustomerFault("email", InvalidFormat), CustomerFault("userId", InvalidFormat), CustomerFault("billingCountry", InvalidFormat), NewFault("search", InvalidFormat, searchForm),
		}},
		{"a search of one character", Filter{"search": " é "}, []Fault{NewFault("search", InvalidFormat, searchForm)}},
		{"a search of 101 characters", Filter{"search": strings.Repeat("é", 101)}, []Fault{NewFault("search", TooLong, searchForm)}},
		{"a search that holds a control character", Filter{"search": "a\nb"}, []Fault{NewFault("search", ForbiddenCharacter, "must not contain control characters")}},
		{"an invalid email and a user id that is too long", Filter{"email": "nobody", "userId": strings.Repeat("x", 256)}, []Fault{
			CustomerFault("email", InvalidFormat), CustomerFault("userId", TooLong),
		}},
		{"an invalid country", Filter{"billingCountry": "XX"}, []Fault{CustomerFault("billingCountry", InvalidFormat)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, faults := customers.resolve(c.filter)
			require.Equal(t, c.faults, faults)
		})
	}
	for _, search := range []string{"ab", "éé", strings.Repeat("é", 100), "  " + strings.Repeat("x", 100) + "  ", "%_", "a\u200bb"} {
		_, faults := customers.resolve(Filter{"search": search})
		require.Empty(t, faults, "%q", search)
	}
}
