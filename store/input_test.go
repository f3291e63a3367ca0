package store

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// valid is an input in which every field has a value that is stored as it is.
func valid() CustomerInput {
	return CustomerInput{
		Email: Set("ann@example.com"), Name: Set("Ann"), UserID: Set("user_1"),
		BillingAddressLine1: Set("1 Main Street"), BillingAddressLine2: Set("Floor 2"), BillingCity: Set("Springfield"),
		BillingPostalCode: Set("12345"), BillingCountry: Set("US"), TaxID: Set("DE123456789"),
	}
}

// with is valid with another value for one field.
func with(name string, value Optional[string]) CustomerInput {
	in := valid()
	*in.Field(name) = value
	return in
}

// lengths are the documented ones, in code points.
var lengths = map[string]int{
	"name": 255, "userId": 255, "billingAddressLine1": 255, "billingAddressLine2": 255, "billingCity": 255,
	"billingPostalCode": 32, "taxId": 64,
}

// withoutFormat are the fields that refuse format characters.
var withoutFormat = []string{"email", "userId", "billingPostalCode", "taxId"}

// optional are the fields that may be null, in the documented order.
func optional() []string { return FieldNames[1:] }

func TestFieldsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"email", "name", "userId", "billingAddressLine1", "billingAddressLine2", "billingCity", "billingPostalCode",
		"billingCountry", "taxId",
	}, FieldNames)
	require.ElementsMatch(t, append(slices.Collect(maps.Keys(lengths)), "email", "billingCountry"), FieldNames)
}

func TestFieldLeavesValuesAsTheyAre(t *testing.T) {
	t.Parallel()
	for _, creating := range []bool{true, false} {
		out, err := valid().normalize(creating)
		require.NoError(t, err)
		require.Equal(t, valid(), out)
	}
}

func TestNothingSaidIsNothingDone(t *testing.T) {
	t.Parallel()
	out, err := CustomerInput{}.normalize(false)
	require.NoError(t, err)
	require.Equal(t, CustomerInput{}, out)
}

func TestWhiteSpaceIsTrimmed(t *testing.T) {
	t.Parallel()
	// White_Space of Unicode, all 25 of it.
	const space = "\t\n\v\f\r \u0085\u00A0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200A\u2028\u2029\u202F\u205F\u3000"
	want := valid()
	for _, name := range FieldNames {
		value := *want.Field(name).Ptr()
		for _, padded := range []string{space + value, value + space, space + value + space} {
			out, err := with(name, Set(padded)).normalize(true)
			require.NoError(t, err, name)
			require.Equal(t, want, out)
		}
	}
}

func TestWhiteSpaceWithinStays(t *testing.T) {
	t.Parallel()
	for name := range lengths {
		for _, value := range []string{"a  b", "a\u00A0b", "a\u3000b", "a\u2028b"} {
			out, err := with(name, Set(value)).normalize(true)
			require.NoError(t, err, "%s %q", name, value)
			require.Equal(t, with(name, Set(value)), out)
		}
	}
}

func TestEmptyIsNull(t *testing.T) {
	t.Parallel()
	for _, name := range optional() {
		for what, value := range map[string]Optional[string]{
			"null": Null[string](), "empty": Set(""), "blank": Set(" \t\u00A0\n"), "a null pointer": SetPtr[string](nil),
		} {
			for _, creating := range []bool{true, false} {
				out, err := with(name, value).normalize(creating)
				require.NoError(t, err)
				require.Equal(t, with(name, Null[string]()), out, "%s, %s", name, what)
			}
		}
		out, err := with(name, Optional[string]{}).normalize(true)
		require.NoError(t, err)
		require.Equal(t, with(name, Optional[string]{}), out, "%s, absent", name)
	}
}

func TestEmailIsRequired(t *testing.T) {
	t.Parallel()
	for what, value := range map[string]Optional[string]{
		"null": Null[string](), "empty": Set(""), "blank": Set(" \t\u00A0\n"),
	} {
		for _, creating := range []bool{true, false} {
			_, err := with("email", value).normalize(creating)
			require.Equal(t, NewError(EmailRequired), err, "%s, creating: %v", what, creating)
		}
	}
	_, err := with("email", Optional[string]{}).normalize(true)
	require.Equal(t, NewError(EmailRequired), err)
	_, err = with("email", Optional[string]{}).normalize(false)
	require.NoError(t, err)

	t.Run("which wins over every other fault", func(t *testing.T) {
		t.Parallel()
		in := CustomerInput{
			Name: Set("a\x00"), UserID: Set(strings.Repeat("x", 256)), BillingCountry: Set("XX"),
			WrongType: []string{"taxId", DangerousFlag},
		}
		_, err := in.normalize(true)
		require.Equal(t, NewError(EmailRequired), err)
		in.Email = Set(" ")
		_, err = in.normalize(false)
		require.Equal(t, NewError(EmailRequired), err)
	})
	t.Run("unless it was said with a wrong type", func(t *testing.T) {
		t.Parallel()
		for _, creating := range []bool{true, false} {
			_, err := CustomerInput{WrongType: []string{"email"}}.normalize(creating)
			require.Equal(t, Invalid(NewFault("email", WrongType)), err)
		}
	})
}

func TestLengths(t *testing.T) {
	t.Parallel()
	for name, max := range lengths {
		for _, character := range []string{"x", "é", "例", "\U0001F600"} {
			longest := strings.Repeat(character, max)
			out, err := with(name, Set(longest)).normalize(true)
			require.NoError(t, err, "%s of %d %s", name, max, character)
			require.Equal(t, with(name, Set(longest)), out)

			_, err = with(name, Set("  "+longest+"  ")).normalize(true)
			require.NoError(t, err, "what is trimmed does not count")

			for _, longer := range []string{longest + character, strings.Repeat(character, 1<<20)} {
				_, err = with(name, Set(longer)).normalize(true)
				require.Equal(t, Invalid(NewFault(name, TooLong)), err)
			}
		}
		out, err := with(name, Set("x")).normalize(true)
		require.NoError(t, err)
		require.Equal(t, with(name, Set("x")), out)
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
			out, err := with("email", Set(c.email)).normalize(true)
			if !c.fits {
				require.Equal(t, Invalid(NewFault("email", TooLong)), err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, with("email", Set(c.email)), out)
		})
	}
}

// Every control character and every format character, in every field.
func TestForbiddenCharacters(t *testing.T) {
	t.Parallel()
	for _, name := range FieldNames {
		if name == "billingCountry" {
			continue // below
		}
		in := valid()
		value := *in.Field(name).Ptr()
		for r := range unicode.MaxRune + 1 {
			control, format := unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r)
			if !control && !format {
				continue
			}
			text := value[:1] + string(r) + value[1:]
			out, err := with(name, Set(text)).normalize(true)
			if control || slices.Contains(withoutFormat, name) {
				require.Equal(t, Invalid(NewFault(name, ForbiddenCharacter)), err, "%s with %U", name, r)
				continue
			}
			require.NoError(t, err, "%s with %U", name, r)
			require.Equal(t, with(name, Set(text)), out)
		}
	}
}

func TestForbiddenCharactersAtTheEdges(t *testing.T) {
	t.Parallel()
	for name := range lengths {
		for _, value := range []string{"\x00", "\x00a", "a\x00", "\x7f", "\u009f", "a\x1b[31m"} {
			_, err := with(name, Set(value)).normalize(true)
			require.Equal(t, Invalid(NewFault(name, ForbiddenCharacter)), err, "%s %q", name, value)
		}
	}
	// A byte order mark is a format character and no white space, so it is not trimmed.
	_, err := with("userId", Set("\uFEFFuser")).normalize(true)
	require.Equal(t, Invalid(NewFault("userId", ForbiddenCharacter)), err)
}

func TestWhatIsNoUTF8IsRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82", "a\xffb"} {
		for _, name := range FieldNames {
			in := valid()
			value := *in.Field(name).Ptr()
			want := Invalid(NewFault(name, InvalidFormat))
			_, err := with(name, Set(value[:1]+bad+value[1:])).normalize(true)
			require.Equal(t, want, err, "%s %q", name, bad)

			if name == "email" || name == "userId" || name == "billingCountry" {
				filter := CustomerFilter{}
				*map[string]**string{"email": &filter.Email, "userId": &filter.UserID, "billingCountry": &filter.BillingCountry}[name] = &bad
				_, faults := filter.normalize()
				require.Equal(t, []Fault{NewFault(name, InvalidFormat)}, faults)
			}
		}
		search := "ab" + bad
		_, faults := CustomerFilter{Search: &search}.normalize()
		require.Equal(t, []Fault{NewFault("search", InvalidFormat)}, faults)
	}
	// The character that decoders put in its place is one like any other.
	_, err := with("name", Set("a\uFFFDb")).normalize(true)
	require.NoError(t, err)
}

func TestCountries(t *testing.T) {
	t.Parallel()
	codes := strings.Fields(countries)
	require.Len(t, codes, 249)
	require.True(t, slices.IsSorted(codes))
	require.Len(t, slices.Compact(slices.Clone(codes)), 249)

	accepted := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			code := string(a) + string(b)
			_, err := with("billingCountry", Set(code)).normalize(true)
			if !slices.Contains(codes, code) {
				require.Equal(t, Invalid(NewFault("billingCountry", InvalidFormat)), err, code)
				continue
			}
			accepted++
			for _, variant := range []string{code, strings.ToLower(code), strings.ToLower(code[:1]) + code[1:], " " + code + "\n"} {
				out, err := with("billingCountry", Set(variant)).normalize(true)
				require.NoError(t, err, variant)
				require.Equal(t, with("billingCountry", Set(code)), out)
			}
		}
	}
	require.Equal(t, 249, accepted)

	for _, code := range []string{
		"U", "USA", "840", "U S", "AD AE", "D A", "XX", "EU", "UK", "AN", "ZZ", "u\u0131", "\u0131t", "\u0131", "\u017fe", "ＵＳ", "ÄT", "u.", "-", "us ca", strings.Repeat("US", 1000),
	} {
		_, err := with("billingCountry", Set(code)).normalize(true)
		require.Equal(t, Invalid(NewFault("billingCountry", InvalidFormat)), err, "%q", code)
	}
	for _, code := range []string{"U\x00", "\x00US", "U\x1bS"} {
		_, err := with("billingCountry", Set(code)).normalize(true)
		require.Equal(t, Invalid(NewFault("billingCountry", ForbiddenCharacter)), err, "%q", code)
	}
}

func TestFaultsComeTogether(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	in := CustomerInput{
		TaxID:               Set(long + "\u200b"),
		BillingCountry:      Set("XX"),
		BillingPostalCode:   Set(long),
		BillingAddressLine2: Set("ok"),
		BillingAddressLine1: Set("a\x07"),
		UserID:              Set("a\u202e"),
		Name:                Set(long + "\x00"),
		Email:               Set("nobody"),
		WrongType:           []string{DangerousFlag, "billingCity"},
	}
	want := Invalid(
		NewFault("email", InvalidFormat),
		NewFault("name", ForbiddenCharacter), NewFault("name", TooLong),
		NewFault("userId", ForbiddenCharacter),
		NewFault("billingAddressLine1", ForbiddenCharacter),
		NewFault("billingCity", WrongType),
		NewFault("billingPostalCode", TooLong),
		NewFault("billingCountry", InvalidFormat),
		NewFault("taxId", ForbiddenCharacter), NewFault("taxId", TooLong),
		NewFault(DangerousFlag, WrongType),
	)
	for _, creating := range []bool{true, false} {
		_, err := in.normalize(creating)
		require.Equal(t, want, err)
	}

	t.Run("an email that is too long and holds what is forbidden", func(t *testing.T) {
		t.Parallel()
		_, err := with("email", Set(long+"\u200b@example.com")).normalize(true)
		require.Equal(t, Invalid(NewFault("email", ForbiddenCharacter), NewFault("email", TooLong)), err)
	})
	t.Run("every field with a wrong type", func(t *testing.T) {
		t.Parallel()
		var faults []Fault
		for _, name := range append(slices.Clone(FieldNames), DangerousFlag) {
			faults = append(faults, NewFault(name, WrongType))
		}
		_, err := CustomerInput{WrongType: append([]string{DangerousFlag}, FieldNames...)}.normalize(true)
		require.Equal(t, Invalid(faults...), err)
	})
	t.Run("a wrong type stands for the field's other faults", func(t *testing.T) {
		t.Parallel()
		in := with("name", Set("\x00"))
		in.WrongType = []string{"name"}
		_, err := in.normalize(true)
		require.Equal(t, Invalid(NewFault("name", WrongType)), err)
	})
}

func TestFaultsNeverRepeatTheValue(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	for _, name := range FieldNames {
		for _, value := range []string{canary + "\x00", strings.Repeat(canary, 100)} {
			_, err := with(name, Set(value)).normalize(true)
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
		"1@2.3", "a@127.0.0.1", "a@sub.sub.sub.example.com", "a@ex-ample.com", "a@e--x.com", "a@1example.com",
		"a@xn--bcher-kva.example", "a@XN--BCHER-KVA.example", "a@bücher.example", "a@" + strings.Repeat("d", 63) + ".com",
		strings.Repeat("a", 65) + "@example.com", "a=b@example.com",
	} {
		out, err := with("email", Set(email)).normalize(true)
		require.NoError(t, err, "%q", email)
		require.Equal(t, with("email", Set(email)), out, "stored as it was sent")
	}
	for _, email := range []string{
		"a", "@", "a@", "@b.c", "a@b", "a@localhost", "a@b.", "a@.b", "a@b..c", "a@.b.c", "a@b.c.", ".a@b.c", "a.@b.c", "a..b@b.c", ".@b.c",
		"a@@b.c", "a@b@c.d", "@a@b.c", "a b@c.d", "a@b .c", "a @b.c", "a@ b.c", "a\u00A0b@c.d", "a\u3000@c.d", "a@b\u2028.c",
		`"a"@b.c`, `"a b"@b.c`, `a"b@c.d`, `a\b@c.d`, "a(b)@c.d", "a,b@c.d", "a;b@c.d", "a:b@c.d", "<a@b.c>", "Ann <a@b.c>", "mailto:a@b.c", "a[b@c.d",
		"a\u037Eb@c.d", "a@b\u037Ec.d", "a@[127.0.0.1]", "a@[IPv6:::1]", "a@-b.c", "a@b-.c", "a@b.-c", "a@b.c-", "a@-.c", "a@b_c.d", "a@b+c.d", "a@b!c.d", "a@b/c.d", "a@b%c.d", "a@b:25.c",
		"a@xn--.c", "a@xn--é.c", "a@XN--é.c", "a@xn--a.c", "a@xn--abc-.c", "a@xn--999999999.c", "a@b.xn--0", "a@xN--abc.c", "a@" + strings.Repeat("d", 64) + ".com",
		"a@" + strings.Repeat("ü", 60) + ".com", "a@xn--evil.-fsa.c", "a@xn--evil@-fsa.c", "a@xn--a/-cja.c", "a@xn----bga.c",
	} {
		_, err := with("email", Set(email)).normalize(true)
		require.Equal(t, Invalid(NewFault("email", InvalidFormat)), err, "%q", email)
	}
	for _, email := range []string{
		"a\r\nBcc: b@example.com", "a@b.c\r\nBcc: d@e.f", "a\n@b.c", "a\t@b.c", "a\x00@b.c", "a@b\x00.c", "a\u200b@b.c", "a\u202e@b.c", "\uFEFFa@b.c", "a@b\u00AD.c", "a@b.c\u2060",
	} {
		_, err := with("email", Set(email)).normalize(true)
		require.Equal(t, Invalid(NewFault("email", ForbiddenCharacter)), err, "%q", email)
	}
}

func TestFilterFaults(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	for _, c := range []struct {
		name   string
		filter CustomerFilter
		faults []Fault
	}{
		{"empty texts", CustomerFilter{Email: text(" "), UserID: text(""), BillingCountry: text("\n"), Search: text("")}, []Fault{
			NewFault("email", InvalidFormat), NewFault("userId", InvalidFormat), NewFault("billingCountry", InvalidFormat), NewFault("search", InvalidFormat),
		}},
		{"a search of one character", CustomerFilter{Search: text(" é ")}, []Fault{NewFault("search", InvalidFormat)}},
		{"a search of 101 characters", CustomerFilter{Search: text(strings.Repeat("é", 101))}, []Fault{NewFault("search", TooLong)}},
		{"a search for what no value holds", CustomerFilter{Search: text("a\nb")}, []Fault{NewFault("search", ForbiddenCharacter)}},
		{"no address, and a user id that is too long", CustomerFilter{Email: text("nobody"), UserID: text(strings.Repeat("x", 256))}, []Fault{
			NewFault("email", InvalidFormat), NewFault("userId", TooLong),
		}},
		{"no country", CustomerFilter{BillingCountry: text("XX")}, []Fault{NewFault("billingCountry", InvalidFormat)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, faults := c.filter.normalize()
			require.Equal(t, c.faults, faults)
		})
	}
	for _, search := range []string{"ab", "éé", strings.Repeat("é", 100), "  " + strings.Repeat("x", 100) + "  ", "%_", "a\u200bb"} {
		_, faults := CustomerFilter{Search: &search}.normalize()
		require.Empty(t, faults, "%q", search)
	}
}
