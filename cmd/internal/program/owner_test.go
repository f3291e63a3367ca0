package program

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/store/auth"
	"lumen/store/storetest"
)

func TestCommandsOnADatabaseThatIsNotMigrated(t *testing.T) {
	t.Parallel()
	url := "--owner-database-url=" + storetest.Empty(t).OwnerURL()
	for _, command := range [][]string{
		{"merchant", "create", "--name", "Acme"}, {"merchant", "list"}, {"merchant", "disable", "merchant_1"},
		{"key", "create", "--merchant", "merchant_1"}, {"key", "list", "--merchant", "merchant_1"}, {"key", "revoke", "key_1"},
		{"token-key", "rotate", "--token-secret", auth.NewTokenSecret().Text()}, {"token-key", "list"}, {"token-key", "revoke", "token_key_1"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 1, Run(t.Context(), append(command, url), &stdout, &stderr, Release{}), command)
		require.Equal(t, "lumen: the database is not migrated; run: lumen migrate up\n", stderr.String(), command)
		require.Empty(t, stdout.String())
	}
}

// The service's role may read few tables and write no merchants and keys.
func TestCommandsAsTheServicesRole(t *testing.T) {
	t.Parallel()
	for _, command := range [][]string{{"merchant", "create", "--name", "Acme"}, {"key", "list", "--merchant", "merchant_1"}} {
		var stdout, stderr bytes.Buffer
		command = append(command, "--database-url="+storetest.New(t).AppURL())
		require.Equal(t, 1, Run(t.Context(), command, &stdout, &stderr, Release{}), command)
		require.Equal(t, "lumen: the role in --database-url may not do this; set LUMEN_OWNER_DATABASE_URL "+
			"to the URL of the owner of the database\n", stderr.String(), command)
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"yes\n": true, " yes \n": true, "yes": true, "y\n": false, "": false, "no\nyes\n": false} {
		var asked bytes.Buffer
		require.Equal(t, want, terminal{err: &asked}.confirm(strings.NewReader(answer), "This deletes."), answer)
		require.Equal(t, "This deletes.\nType yes to go on: ", asked.String())
	}
}
