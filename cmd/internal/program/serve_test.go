package program

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnErrorKeepsTheLinesThatAreToBePasted(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.Equal(t, 1, terminal{err: &out}.fail(errors.New("run these:\n  ONE;\n  TWO;"), 1))
	require.Equal(t, "lumen: run these:\n  ONE;\n  TWO;\n", out.String())
}

func TestURLsOfAnUnspecifiedAddressAreOnesThatWork(t *testing.T) {
	t.Parallel()
	for _, address := range []string{":0", "0.0.0.0:0", "127.0.0.1:0"} {
		listener, err := net.Listen("tcp", address)
		require.NoError(t, err)
		require.Regexp(t, `^http://127\.0\.0\.1:\d+$`, urlsOf(listener, "", false).URL)
		require.NoError(t, listener.Close())
	}
}
