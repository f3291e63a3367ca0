package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// overloaded matches the refusals that the last of many requests may get on a busy machine.
var overloaded = regexp.MustCompile(`Too many requests|temporarily unavailable`)

// TestOneWinnerForEachAddress creates customers with one address, each in another letter case, at
// the same time through both APIs. Exactly one create must succeed and all others must get
// EMAIL_TAKEN (I2).
func TestConcurrentCreatesHaveOneWinner(t *testing.T) {
	t.Parallel()
	const rounds, writers = 20, 64
	d := harness.Serve(t)
	m := d.Merchant(t, "Contested")

	for round := range rounds {
		address := fmt.Sprintf("straße.contested.address%d@example.com", round)
		answers := make([]answer, writers)
		var all sync.WaitGroup
		start := make(chan struct{})
		for w := range writers {
			// The bits of the writer's number choose its capitals.
			mixed := []rune(address)
			for bit := range 6 {
				if w>>bit&1 == 1 {
					mixed[7+bit] -= 'a' - 'A'
				}
			}
			all.Go(func() {
				<-start
				var r harness.Reply
				for again := true; again; again = overloaded.MatchString(r.Body) {
					if w%2 == 0 {
						r = d.Send(t, m.WriteKey, "POST", "/api/customers", `{"email":"`+string(mixed)+`"}`)
					} else {
						r = d.GraphQL(t, m.WriteKey, `mutation($e:String!){createCustomer(input:{email:$e}){customer{email} userErrors{code field message}}}`, map[string]any{"e": string(mixed)})
					}
				}
				if r.Status == http.StatusCreated || strings.Contains(r.Body, `"userErrors":[]`) {
					r.Body = "won"
				}
				answers[w] = answer{r.Status, r.Body}
			})
		}
		close(start)
		all.Wait()

		won := 0
		for w, got := range answers {
			switch {
			case got.body == "won":
				won++
			case w%2 == 0:
				require.Equal(t, answer{409, `{"error":"A customer with this email already exists"}`}, got)
			default:
				require.Equal(t, answer{200, `{"data":{"createCustomer":{"customer":null,"userErrors":[{"code":"EMAIL_TAKEN","field":["input","email"],"message":"A customer with this email already exists"}]}}}`}, got)
			}
		}
		require.Equal(t, 1, won, "round %d", round)
		require.Len(t, storedRows(t, d, m), round+1)
	}
}

// TestOneHolderAmongCreatesUpdatesAndDeletes lets creates, updates and deletes compete for one
// address. There must never be more than one customer with it that is not deleted.
func TestOneHolderAmongCreatesUpdatesAndDeletes(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Contested")
	const workers, steps = 16, 25
	var all sync.WaitGroup
	for w := range workers {
		id := d.Create(t, m, fmt.Sprintf(`{"email":"own%d@example.com"}`, w))
		all.Go(func() {
			for step := range steps {
				var r harness.Reply
				path := "/api/customers/" + id
				switch (w + step) % 4 {
				case 0:
					r = d.Send(t, m.WriteKey, "POST", "/api/customers", `{"email":"The.One@example.com"}`)
				case 1:
					r = d.GraphQL(t, m.WriteKey, `mutation($id:ID!){updateCustomer(id:$id,input:{email:"the.one@example.com"}){userErrors{code}}}`, map[string]any{"id": id})
				case 2:
					r = d.Send(t, m.WriteKey, "PATCH", path, fmt.Sprintf(`{"email":"own%d@example.com"}`, w))
				case 3:
					r = d.Send(t, m.ReadKey, "GET", "/api/customers?email=the.one@example.com", "")
					if strings.Count(r.Body, `"id"`) > 1 {
						t.Errorf("two holders: %s", r.Body)
					}
					if held := anyID.FindString(r.Body); held != "" && held != `"`+id+`"` && w == 3 {
						r = d.Send(t, m.WriteKey, "DELETE", "/api/customers/"+strings.Trim(held, `"`), "")
					}
				}
				if r.Status >= 500 || strings.Contains(r.Body, "extensions") {
					t.Errorf("%d %s", r.Status, r.Body)
				}
			}
		})
	}
	all.Wait()
	require.Empty(t, d.Lines(t, "SELECT email_key FROM customers WHERE deleted_at IS NULL GROUP BY merchant_id, email_key HAVING count(*) > 1"))
}
