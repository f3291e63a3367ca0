package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// These tests measure whether a merchant can infer something about others from the time that
// replies take.

// stopwatch measures requests. It has its own HTTP client, since the tests' client also records the
// sent values, which takes time.
type stopwatch struct {
	*harness.Server
	client *http.Client
}

func newStopwatch(t testing.TB, d *harness.Server) stopwatch {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return stopwatch{d, &http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

// time returns the time until the whole reply to an operation was read. The reply must contain
// wanted.
func (s stopwatch) time(t testing.TB, key auth.Secret, body, wanted string) time.Duration {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/graphql", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+string(key))
	start := time.Now()
	response, err := s.client.Do(request)
	require.NoError(t, err)
	read, err := io.ReadAll(response.Body)
	took := time.Since(start)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Contains(t, string(read), wanted)
	return took
}

// randomWord returns a word of 26 random letters.
func randomWord() string {
	var word strings.Builder
	for range 26 {
		word.WriteByte(byte('a' + rand.IntN(26)))
	}
	return word.String()
}

// documentTimes measures documents of one shape that a merchant sends: those that another merchant
// has sent before, and fresh ones. It mixes both in random order, so that other load on the machine
// affects both.
func documentTimes(
	t testing.TB, s stopwatch, first, second auth.Secret, tries int, body func(word string) string,
) (sent, fresh []time.Duration) {
	const wanted = `{"data":{"node":null}`
	isSent := make([]bool, 2*tries)
	for i := range tries {
		isSent[i] = true
	}
	rand.Shuffle(len(isSent), func(i, j int) { isSent[i], isSent[j] = isSent[j], isSent[i] })
	for _, same := range isSent {
		word, other := randomWord(), randomWord()
		s.time(t, first, body(word), wanted)
		if same {
			sent = append(sent, s.time(t, second, body(word), wanted))
		} else {
			fresh = append(fresh, s.time(t, second, body(other), wanted))
		}
	}
	return sent, fresh
}

// TestDocumentCacheTiming checks that a merchant cannot infer from the time of a reply that another
// merchant has sent a document with the same string, such as the id of a customer, although all
// merchants share the cache of documents. As a control, a document without strings must show the
// difference, so that the test is known to detect it.
func TestDocumentCacheTiming(t *testing.T) {
	tries, maxAUC, attempts := 400, 0.6, 3
	if storetest.Long() {
		tries, maxAUC, attempts = 2000, 0.55, 1
	}
	d := harness.Serve(t)
	first, second := d.Merchant(t, "First"), d.Merchant(t, "Second")
	s := newStopwatch(t, d)
	fields := strings.Repeat("id ", 100) // enough that parsing takes a large part of the time
	withString := func(word string) string {
		return fmt.Sprintf(`{"query":"query Name{node(id:\"merchant_%s\"){%s}}"}`, word, fields)
	}
	withoutString := func(word string) string {
		const body = `{"query":"query %s($i:ID!){node(id:$i){%s}}","variables":{"i":"merchant_%s"}}`
		return fmt.Sprintf(body, word, fields, word)
	}
	measure := func(body func(string) string) float64 {
		sent, fresh := documentTimes(t, s, first.ReadKey, second.ReadKey, tries, body)
		area := auc(sent, fresh)
		return max(area, 1-area)
	}
	for attempt := 1; ; attempt++ {
		leaked, control := measure(withString), measure(withoutString)
		t.Logf("AUC with a string %.3f, without one %.3f", leaked, control)
		if leaked <= maxAUC && control >= 0.7 {
			return
		}
		require.Less(t, attempt, attempts, "want an AUC with a string of at most %.2f, without one of at least 0.7", maxAUC)
	}
}
