package store

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"lumen/store/folding"
)

func TestEveryNameSortsBeforeMissingNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"\U0010FFFF", "\U0010FFFF\U0010FFFF", "Zoë", "x"} {
		key := bytea(folding.SortKey(name))
		require.Less(t, key, maxKey["bytea"].key)
		require.Greater(t, key, "")
	}
}

// Lists are forbidden to bound callers. If they were not, they would return only the caller's own
// customer.
func TestSelectingIsBound(t *testing.T) {
	t.Parallel()
	rows := New(bun.NewDB(nil, pgdialect.New()), Options{}).Customers.Rows
	where := func(customer string, prepared, part bool) string {
		ctx := WithCredential(t.Context(), Credential{Merchant: Merchant{ID: "merchant_1"}, CustomerID: customer})
		q := rows.selecting(ctx, prepared)
		if part {
			q = rows.part(ctx, q)
		}
		_, where, _ := strings.Cut(q.String(), " WHERE ")
		if prepared {
			require.Equal(t, []any{"merchant_1", "cust_1"}[:strings.Count(where, "$")], *q.args)
		}
		return where
	}
	for _, part := range []bool{false, true} {
		require.Equal(t, `(c.merchant_id = 'merchant_1')`, where("", false, part))
		require.Equal(t, `(c.merchant_id = 'merchant_1') AND (c.id = 'cust_1')`, where("cust_1", false, part))
		require.Equal(t, `(c.merchant_id = $1)`, where("", true, part))
		require.Equal(t, `(c.merchant_id = $1) AND (c.id = $2)`, where("cust_1", true, part))
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	half := time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-01-02T03:04:05.5Z": half, "2026-01-02t03:04:05.500z": half, "2026-01-02T05:04:05.5+02:00": half,
		"2026-01-02": {}, "2026-01-02T3:04:05Z": {}, "2026-01-02T03:04:05,5Z": {}, "2026-01-02 03:04:05Z": {}, "2026-01-02T03:04:05": {},
		"2026-13-02T03:04:05Z": {}, "2026-01-02T24:00:00Z": {}, "2026-01-02T03:04:05+24:00": {}, "": {}, "now": {},
	} {
		got, ok := ParseTime(text)
		require.Equal(t, !want.IsZero(), ok, text)
		if ok {
			require.True(t, want.Equal(got), text)
		}
	}
}
