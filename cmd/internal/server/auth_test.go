package server

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// slow is a reader that takes a second for each read.
type slow struct{ io.Reader }

func (s slow) Read(into []byte) (int, error) {
	time.Sleep(time.Second)
	return s.Reader.Read(into)
}

// The time that counts is the wait for the client. The server may begin to read late, for example
// after a slow lookup of the credential; that time does not count.
func TestBodyCountsTheWaitForTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		read := func(from io.Reader) (waited time.Duration) {
			body := timedBody{io.NopCloser(from), func(d time.Duration) { waited += d }}
			time.Sleep(4 * time.Second)
			_, err := io.ReadAll(body)
			require.NoError(t, err)
			return waited
		}
		require.Zero(t, read(strings.NewReader("there")))
		require.Equal(t, 4*time.Second, read(slow{iotest.OneByteReader(strings.NewReader("abc"))}), "three octets and the end")
	})
}
