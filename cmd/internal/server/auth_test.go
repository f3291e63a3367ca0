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

// slow is a reader whose each read takes a second.
type slow struct{ io.Reader }

func (s slow) Read(into []byte) (int, error) {
	time.Sleep(time.Second)
	return s.Reader.Read(into)
}

// Of a body only the wait for it is the client's: not how late it is read, as when the look-up of the credential took long.
func TestBodyCountsWhatItIsWaitedFor(t *testing.T) {
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
