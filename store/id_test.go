package store

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewIDs(t *testing.T) {
	t.Parallel()
	const n = 100_000
	for _, prefix := range []string{"cust", MerchantPrefix, "key"} {
		seen := make(map[string]struct{}, n)
		for range n {
			id, err := NewID(prefix)
			require.NoError(t, err)
			seen[id] = struct{}{}
			suffix, ok := strings.CutPrefix(id, prefix+"_")
			if !ok || len(suffix) != 26 || strings.Trim(suffix, "0123456789abcdefghjkmnpqrstvwxyz") != "" {
				t.Fatalf("%q does not have the form of an id", id)
			}
		}
		require.Len(t, seen, n, "no id is made twice")
	}
}

func TestNewIDsAreWellFormed(t *testing.T) {
	t.Parallel()
	customer, err := NewID("cust")
	require.NoError(t, err)
	merchant, err := NewID(MerchantPrefix)
	require.NoError(t, err)

	require.True(t, IsCustomerID(customer))
	require.False(t, IsMerchantID(customer))
	require.True(t, IsMerchantID(merchant))
	require.False(t, IsCustomerID(merchant))
}

// customerIDs maps texts to whether they are well-formed ids of customers.
var customerIDs = map[string]bool{
	"cust_stable_123":                 true, // from the reference
	"cust_01jd8xq3v4e5f6g7h8j9k0m1n2": true,
	"cust_a":                          true,
	"cust__":                          true,
	"cust_AZaz09_":                    true,
	"cust_" + strings.Repeat("x", 64): true,
	"cust_" + strings.Repeat("x", 65): false,
	"":                                false,
	"cust":                            false,
	"cust_":                           false,
	"CUST_a":                          false,
	"Cust_a":                          false,
	" cust_a":                         false,
	"cust_a ":                         false,
	"cust_a\n":                        false,
	"\ncust_a":                        false,
	"cust_a\ncust_b":                  false,
	"cust_a\x00":                      false,
	"cust_a-b":                        false,
	"cust_a.b":                        false,
	"cust_../b":                       false,
	"cust_%2e%2e":                     false,
	"cust_%00":                        false,
	"cust_é":                          false,
	"cust_١٢٣":                        false,
	"cust_ａ":                          false,
	"cust_\xff":                       false,
	"merchant_a":                      false,
	"xcust_a":                         false,
	"cust_' OR 1=1--":                 false,
	"cust_?":                          false,
	"cust_$1":                         false,
	strings.Repeat("cust_", 2048):     false,
}

func TestCustomerIDForm(t *testing.T) {
	t.Parallel()
	for id, want := range customerIDs {
		require.Equal(t, want, IsCustomerID(id), "%q", id)
		if want {
			require.NoError(t, customers.checkID(id))
		} else {
			require.Equal(t, customers.NewError(InvalidID), customers.checkID(id), "%q", id)
		}
	}
}

// FuzzCustomerID compares the expression with the rule in words: the prefix, then 1 to 64 of the 63
// characters.
func FuzzCustomerID(f *testing.F) {
	for id := range customerIDs {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		rest, ok := strings.CutPrefix(id, "cust_")
		want := ok && len(rest) >= 1 && len(rest) <= 64
		for i := range len(rest) {
			want = want && strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", rest[i]) >= 0
		}
		require.Equal(t, want, IsCustomerID(id))
	})
}
