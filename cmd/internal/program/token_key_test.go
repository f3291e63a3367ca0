package program

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store/auth"
	"lumen/store/storetest"
)

func TestTokenKeyCommands(t *testing.T) {
	t.Parallel()
	db, secret := storetest.New(t), auth.NewTokenSecret().Text()
	// command runs one and returns what it printed. A secret must not be in that.
	command := func(code int, args ...string) (out, err string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		require.Equal(t, code, Run(t.Context(), append([]string{"token-key"}, args...), &stdout, &stderr, Release{}), stderr.String())
		require.NotContains(t, stdout.String()+stderr.String(), secret)
		require.NotContains(t, stdout.String()+stderr.String(), "hunter2")
		return stdout.String(), stderr.String()
	}
	owner, with := "--owner-database-url="+db.OwnerURL(), "--token-secret="+secret
	type key struct {
		ID, Algorithm        string
		CreatedAt, SignsFrom time.Time
		RevokedAt            *time.Time
		State                string
	}
	one := func(text string) key {
		t.Helper()
		require.Equal(t, 1, strings.Count(text, "\n"))
		var document map[string]key
		require.NoError(t, json.Unmarshal([]byte(text), &document))
		require.Len(t, document, 1)
		require.Contains(t, document, "tokenKey")
		return document["tokenKey"]
	}
	list := func() []key {
		t.Helper()
		out, _ := command(0, "list", owner, "--json")
		var document struct{ TokenKeys []key }
		require.NoError(t, json.Unmarshal([]byte(out), &document))
		return document.TokenKeys
	}

	out, _ := command(0, "list", owner, "--json")
	require.Equal(t, "{\"tokenKeys\":[]}\n", out)
	_, err := command(1, "rotate", owner)
	require.Equal(t, "lumen: LUMEN_TOKEN_SECRET is not set; set it to the secret of the service, or make one with: openssl rand -base64 32\n", err)
	_, err = command(1, "rotate", owner, "--token-secret=hunter2")
	require.Equal(t, "lumen: --token-secret is not the base64 of 32 bytes; make one with: openssl rand -base64 32\n", err)
	_, err = command(1, "revoke", owner, "token_key_none")
	require.Equal(t, "lumen: there is no token key \"token_key_none\"\n", err)

	out, _ = command(0, "rotate", owner, with, "--json")
	first := one(out)
	require.Equal(t, "signing", first.State)
	require.Equal(t, "EdDSA", first.Algorithm)
	require.Nil(t, first.RevokedAt)
	_, err = command(2, "rotate", owner, with, "--algorithm=HS256")
	require.Contains(t, err, `--algorithm must be one of "EdDSA", "ES256" but got "HS256"`)
	out, _ = command(0, "rotate", owner, with, "--algorithm=ES256")
	require.Regexp(t, `^Created token key token_key_[a-z0-9]{26}, which signs with ES256 from \d{4}-\d\d-\d\d \d\d:\d\d\.\n$`, out)
	keys := list()
	require.Len(t, keys, 2)
	require.Equal(t, first, keys[0])
	require.Equal(t, "waiting", keys[1].State)
	require.Equal(t, "ES256", keys[1].Algorithm)
	require.Contains(t, out, keys[1].ID)
	_, err = command(1, "rotate", owner, "--token-secret="+auth.NewTokenSecret().Text())
	require.Regexp(t, `^lumen: rotate token keys: the token secret does not open signing key token_key_\w+; use the service's secret, or revoke that key\n$`, err)

	out, _ = command(0, "list", owner)
	require.Regexp(t, regexp.MustCompile(`^TOKEN KEY +ALGORITHM +STATE +CREATED +SIGNS FROM +REVOKED *\n`+first.ID+` +EdDSA +signing .* - *\n`+keys[1].ID+` +ES256 +waiting .* - *\n$`), out)

	out, _ = command(0, "revoke", owner, first.ID, "--json")
	revoked := one(out)
	require.Equal(t, "revoked", revoked.State)
	require.NotNil(t, revoked.RevokedAt)
	out, _ = command(0, "revoke", owner, first.ID)
	require.Equal(t, "Revoked token key "+first.ID+"; 'lumen token-key rotate' makes another.\n", out)
	require.Equal(t, revoked, list()[0], "revoking twice changes nothing")
}
