//go:build clients

package clients

import (
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
)

// The npm library jose verifies tokens of both algorithms. jsonwebtoken has no EdDSA, so it
// verifies only those signed with ES256.
func TestClientsVerifyTokens(t *testing.T) {
	d := harness.Serve(t)
	m := d.Merchant(t, "Verified")
	eddsa := d.Mint(t, m.WriteKey, `{}`)
	_, err := d.Owner(t).TokenKeys.Rotate(t.Context(), d.TokenSecret, auth.ES256)
	require.NoError(t, err)
	d.SQL(t, "UPDATE token_keys SET signs_from = clock_timestamp() WHERE signs_from > clock_timestamp()")
	es256 := d.Mint(t, m.WriteKey, `{}`)

	out, err := npmRun(t, "tokens",
		"LUMEN_URL="+d.URL, "LUMEN_TOKEN_EDDSA="+string(eddsa), "LUMEN_TOKEN_ES256="+string(es256))
	require.NoError(t, err, out)
	require.Contains(t, out, "\njose verified EdDSA\njose verified ES256\njsonwebtoken verified ES256\n")
}
