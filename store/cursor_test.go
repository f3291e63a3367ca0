package store

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"pgregory.net/rapid"

	"lumen/store/address"
	"lumen/store/folding"
)

// sorts are all orders of customers' lists.
var sorts = func() []order {
	var all []order
	for _, field := range []SortField{SortCreatedAt, SortUpdatedAt, SortEmail, SortName} {
		for _, direction := range []SortDirection{Ascending, Descending} {
			all = append(all, orderOf(field, direction))
		}
	}
	return all
}()

func orderOf(field SortField, direction SortDirection) order {
	o, ok := customers.order(Sort{field, direction})
	if !ok {
		panic("no list of customers is sorted by " + field)
	}
	return o
}

const oldName = "zoë\U0001F600 \"'\\%"

// place returns a position that a row could have in this order.
func place(sort order) position {
	key := map[string]string{
		"text": oldName, "timestamptz": "2026-11-23T22:38:30.123000Z", "bytea": bytea(folding.SortKey(oldName)),
	}[sort.sqlType]
	return position{key: key, id: "cust_01jd8xq3v4e5f6g7h8j9k0m1n2"}
}

func TestCursorRoundTrip(t *testing.T) {
	t.Parallel()
	for _, sort := range sorts {
		at := place(sort)
		found, ok := decodeCursor("merchant_a", sort, encodeCursor("merchant_a", sort, at))
		require.True(t, ok)
		require.Equal(t, at, found)
	}
}

func TestCursorCarriesStartOfList(t *testing.T) {
	t.Parallel()
	for _, sort := range sorts {
		at := place(sort)
		at.began = time.Date(2026, 11, 23, 22, 38, 30, 123_000_000, time.UTC)
		found, ok := decodeCursor("merchant_a", sort, encodeCursor("merchant_a", sort, at))
		require.True(t, ok)
		require.Equal(t, at, found)

		// A client can make up a cursor that is too short to hold the time.
		head := []byte{cursorBeganVersion, sort.code, directionCodes[sort.direction]}
		body := append([]byte{6}, "cust_aabcdefg"...)
		short := cursorEncoding.EncodeToString(slices.Concat(head, cursorDigest("merchant_a", head, body), body))
		_, ok = decodeCursor("merchant_a", sort, short)
		require.False(t, ok)
	}
}

// Cursors that clients keep must work in every later release. These were made before the id's
// prefix was checked.
func TestCursorsOfEarlierReleasesAreAccepted(t *testing.T) {
	t.Parallel()
	const merchant = "merchant_01h455vb4pex5vsknk084sn02q"
	for i, cursor := range []string{
		"AWNh3666NQn5zG25IoWFH2N1c3RfMDFqZDh4cTN2NGU1ZjZnN2g4ajlrMG0xbjIyMDI2LTExLTIzVDIyOjM4OjMwLjEyMzAwMFo",
		"AWNkdIwz6IuaobsjFTw5H2N1c3RfMDFqZDh4cTN2NGU1ZjZnN2g4ajlrMG0xbjIyMDI2LTExLTIzVDIyOjM4OjMwLjEyMzAwMFo",
		"AXVhQqKcoTt_0-GZav4QH2N1c3RfMDFqZDh4cTN2NGU1ZjZnN2g4ajlrMG0xbjIyMDI2LTExLTIzVDIyOjM4OjMwLjEyMzAwMFo",
		"AXVkKD1Pw8hMwiAEcLJCH2N1c3RfMDFqZDh4cTN2NGU1ZjZnN2g4ajlrMG0xbjIyMDI2LTExLTIzVDIyOjM4OjMwLjEyMzAwMFo",
		"AWVhnYy0aub742gucDC_H2N1c3RfMDFqZDh4cTN2NGU1ZjZnN2g4ajlrMG0xbjJ6b8Or8J-YgCAiJ1wl",
		"AWVkaq5ADIxZ2m1VL2ecH2N1c3RfMDFqZDh4cTN2NGU1ZjZnN2g4ajlrMG0xbjJ6b8Or8J-YgCAiJ1wl",
		"AW5hSd2Bj99UkOXEI836H2N1c3RfMDFqZDh4cTN2NGU1ZjZnN2g4ajlrMG0xbjJ6b8Or8J-YgCAiJ1wl",
		"AW5kp1d7bWs0Csjl3qIGH2N1c3RfMDFqZDh4cTN2NGU1ZjZnN2g4ajlrMG0xbjJ6b8Or8J-YgCAiJ1wl",
	} {
		ctx := WithCredential(t.Context(), Credential{Merchant: Merchant{ID: merchant}})
		query := PageQuery{Sort: Sort{sorts[i].field, sorts[i].direction}, After: &cursor}
		p, err := RowsOf[Customer](New(bun.NewDB(nil, pgdialect.New()), Options{})).resolve(ctx, query)
		require.NoError(t, err)
		if sorts[i].field == SortName { // see TestPagesContinueFromLegacyNameCursors
			require.Equal(t, place(sorts[i]).id, p.after.id)
			continue
		}
		require.Equal(t, place(sorts[i]), *p.after)
		require.Equal(t, cursor, encodeCursor(merchant, sorts[i], *p.after), "this release makes the same cursor")
	}
}

func TestCursorOfLongestKeyIsAccepted(t *testing.T) {
	t.Parallel()
	longest := 0
	for r := range unicode.MaxRune + 1 {
		longest = max(longest, len(folding.Case(string(r))))
	}
	for _, field := range []SortField{SortEmail, SortName} {
		sort := orderOf(field, Ascending)
		key := strings.Repeat("x", longest*address.MaxOctets)
		if field == SortName {
			key = bytea([]byte(strings.Repeat("x", folding.MaxSortKey)))
		}
		at := position{key: key, id: "cust_" + strings.Repeat("x", 64)}
		found, ok := decodeCursor("merchant_a", sort, encodeCursor("merchant_a", sort, at))
		require.True(t, ok, "%d octets", len(at.key))
		require.Equal(t, at, found)
	}
}

func TestCursorOfAnotherListIsRefused(t *testing.T) {
	t.Parallel()
	for _, of := range sorts {
		cursor := encodeCursor("merchant_a", of, place(of))
		for _, other := range sorts {
			_, ok := decodeCursor("merchant_a", other, cursor)
			require.Equal(t, of.code == other.code && of.direction == other.direction, ok, "a cursor of %v for %v", of, other)
			for _, merchant := range []string{"merchant_b", "merchant_", "merchant_aa", "Merchant_a", ""} {
				_, ok := decodeCursor(merchant, other, cursor)
				require.False(t, ok, "a cursor of merchant_a for %q", merchant)
			}
		}
	}
}

func TestDamagedCursorIsRefused(t *testing.T) {
	t.Parallel()
	for _, sort := range sorts {
		cursor := encodeCursor("merchant_a", sort, place(sort))
		refused := func(damage, text string) {
			t.Helper()
			_, ok := decodeCursor("merchant_a", sort, text)
			require.False(t, ok, "%s: %q", damage, text)
		}
		for i := range len(cursor) {
			for bit := range 8 {
				damaged := []byte(cursor)
				damaged[i] ^= 1 << bit
				refused("a flipped bit", string(damaged))
			}
			refused("a missing character", cursor[:i]+cursor[i+1:])
			refused("a missing end", cursor[:i])
			for _, extra := range []string{"A", "\n", "\r", " ", "=", "\x00", "é"} {
				refused("an extra character", cursor[:i]+extra+cursor[i:])
			}
		}
		raw, err := cursorEncoding.DecodeString(cursor)
		require.NoError(t, err)
		for i := range raw {
			for bit := range 8 {
				raw[i] ^= 1 << bit
				refused("a flipped bit within", cursorEncoding.EncodeToString(raw))
				raw[i] ^= 1 << bit
			}
		}
		refused("padding", base64.URLEncoding.EncodeToString(raw)+"=")
		refused("much too long", strings.Repeat("A", 1<<20))
		refused("empty", "")
	}
}

// A client that knows its merchant id can make up a cursor with a correct digest. Such a cursor
// must not cause an error in Postgres.
func TestMadeUpCursorIsRefused(t *testing.T) {
	t.Parallel()
	const id = "cust_a"
	for _, at := range [][2]string{
		{"2026-11-23T22:38:30.123Z", id},
		{"2026-11-23T22:38:30,123000Z", id},
		{"2026-11-23T22:38:30.1230001Z", id},
		{"2026-11-23T22:38:30.123000+01:00", id},
		{"2026-11-23T22:38:30.123000+23:59", id},
		{"2026-11-23T24:00:00.000000Z", id},
		{"0000-01-01T00:00:00.000000Z", id},
		{"infinity", id},
		{"now", id},
		{"", id},
		{"2026-11-23T22:38:30.123000Z", ""},
		{"2026-11-23T22:38:30.123000Z", "' OR 1=1--"},
	} {
		sort := orderOf(SortCreatedAt, Descending)
		requireRefused(t, sort, position{key: at[0], id: at[1]})
	}
	for _, at := range [][2]string{{"a\x00b", id}, {"a\xffb", id}, {"a", ""}, {"a", "merchant_a"}} {
		requireRefused(t, orderOf(SortEmail, Ascending), position{key: at[0], id: at[1]})
	}
	for _, at := range [][2]string{
		{"a", id}, {`\`, id}, {`\x0`, id}, {`\xzz`, id}, {`\xAB`, id}, {"00", id}, {`\x00`, ""}, {"' OR 1=1--", id},
	} {
		requireRefused(t, orderOf(SortName, Ascending), position{key: at[0], id: at[1]})
	}
}

// requireRefused checks that a list of customers refuses the position's cursor.
func requireRefused(t *testing.T, sort order, at position) {
	t.Helper()
	cursor := encodeCursor("merchant_a", sort, at)
	ctx := WithCredential(t.Context(), Credential{Merchant: Merchant{ID: "merchant_a"}})
	err := New(bun.NewDB(nil, pgdialect.New()), Options{}).Customers.Check(ctx, PageQuery{
		Sort: Sort{sort.field, sort.direction}, After: &cursor,
	})
	require.Equal(t, Invalid(NewFault("after", InvalidFormat, "must be a cursor that this list returned")), err, "%q", at)
}

func TestCursorProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sort := rapid.SampledFrom(sorts[4:]).Draw(t, "sort")
		key := strings.ReplaceAll(rapid.String().Draw(t, "key"), "\x00", "")
		if sort.sqlType == "bytea" {
			key = bytea([]byte(key))
		}
		at := position{
			key: key,
			id:  rapid.StringMatching(`cust_[A-Za-z0-9_]{1,64}`).Draw(t, "id"),
		}
		merchant := rapid.StringMatching(`merchant_[A-Za-z0-9_]{1,64}`).Draw(t, "merchant")
		cursor := encodeCursor(merchant, sort, at)
		require.LessOrEqual(t, strings.Trim(cursor, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), "", "safe in a URL")
		if len(cursor) > maxCursor {
			return
		}
		found, ok := decodeCursor(merchant, sort, cursor)
		require.True(t, ok)
		require.Equal(t, at, found)
	})
}

func FuzzCursor(f *testing.F) {
	for _, sort := range sorts {
		cursor := encodeCursor("merchant_a", sort, place(sort))
		f.Add(cursor)
		f.Add(cursor + "\n")
		f.Add(cursor[:len(cursor)-1])
	}
	for _, text := range []string{"", "=", "AAAA", strings.Repeat("A", 24), strings.Repeat("_", 100), "\xff", "é", "null"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		accepted := 0
		for _, sort := range sorts {
			if at, ok := decodeCursor("merchant_a", sort, text); ok {
				accepted++
				require.Equal(t, text, encodeCursor("merchant_a", sort, at))
			}
			_, ok := decodeCursor("merchant_b", sort, text)
			require.False(t, ok, "a text cannot hold the digest of another merchant by chance")
		}
		require.LessOrEqual(t, accepted, 1)

		// The same text after a correct digest, which the fuzzer would never find.
		for _, sort := range sorts {
			head := []byte{cursorVersion, sort.code, directionCodes[sort.direction]}
			made := string(head) + string(cursorDigest("merchant_a", head, []byte(text))) + text
			cursor := cursorEncoding.EncodeToString([]byte(made))
			if at, ok := decodeCursor("merchant_a", sort, cursor); ok {
				require.Equal(t, cursor, encodeCursor("merchant_a", sort, at), fmt.Sprint(at))
			}
		}
	})
}
