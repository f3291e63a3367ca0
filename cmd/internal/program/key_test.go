package program

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/storetest"
)

// A leaked secret is enough to revoke its key, and only its key.
func TestRevokeByTheSecret(t *testing.T) {
	t.Parallel()
	db := storetest.New(t)
	m, operator := db.Merchant(t, "Acme"), db.Owner(t)
	leaked := auth.NewDemoSecret()
	want, err := operator.Keys.Create(t.Context(), owner.NewKey{MerchantID: m.ID, Access: "read", Secret: leaked})
	require.NoError(t, err)
	var revoked string
	for range 2 { // the second time changes nothing
		var out, err bytes.Buffer
		args := []string{"key", "revoke", "--secret-stdin", "--json", "--owner-database-url=" + db.OwnerURL()}
		in := strings.NewReader(" " + string(leaked) + "\r\n")
		require.Zero(t, run(t.Context(), args, terminal{in: in, out: &out, err: &err}, Release{}), err.String())
		require.Empty(t, err.String())
		require.NotContains(t, out.String(), string(leaked))
		var document struct{ APIKey owner.Key }
		require.NoError(t, json.Unmarshal(out.Bytes(), &document))
		require.Equal(t, want.ID, document.APIKey.ID)
		require.NotNil(t, document.APIKey.RevokedAt)
		if revoked != "" {
			require.Equal(t, revoked, out.String())
		}
		revoked = out.String()
	}
	keys, err := operator.Keys.List(t.Context(), m.ID)
	require.NoError(t, err)
	require.Len(t, keys, 3)
	for _, key := range keys {
		require.Equal(t, key.ID == want.ID, key.RevokedAt != nil, key)
	}
}

// The first Ctrl-C ends the command although nobody has typed anything.
func TestRevokeStopsWaitingForTheSecret(t *testing.T) {
	t.Parallel()
	in, typed := io.Pipe()
	defer func() { _ = typed.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := terminal{in: in}.readSecret(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
