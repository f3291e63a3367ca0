package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// otherMerchant is one of three merchants. Their customers are identical except for the ids and for
// those customers that contain the merchant's canary in every field.
type otherMerchant struct {
	storetest.Merchant
	canary  string
	twin    string   // id of a customer that the other merchants have as well
	gone    string   // id of such a customer that is deleted
	marked  string   // id of a customer with the canary in every field
	only    string   // an email address of this merchant only, without a canary
	foreign []string // texts of the other merchants
}

// sharedID is the id of one customer of each of the merchants.
const sharedID = "cust_shared"

// otherMerchants creates the three merchants. It writes their rows as the superuser, so that a
// fault of the service cannot distort the test data.
func otherMerchants(t testing.TB, d *harness.Server) [3]otherMerchant {
	t.Helper()
	prepareSamples(t, d)
	var all [3]otherMerchant
	for i := range all {
		letter := string(rune('a' + i))
		s := &all[i]
		s.Merchant, s.canary = d.Merchant(t, "Kanari"+letter+"Shop"), "kanari"+letter
		s.twin, s.gone, s.marked, s.only = "cust_"+s.canary+"_twin1", "cust_"+s.canary+"_gone", "cust_"+s.canary+"_marked", "only-"+letter+"@example.com"
		d.SQL(t, `INSERT INTO customers (merchant_id, id, email, email_key, email_shared, name, name_key, name_sort, user_id, billing_address_line1,
				billing_address_line2, billing_city, billing_postal_code, billing_country, tax_id, search_key, created_at, updated_at, deleted_at)
			SELECT $1, id, email, email, shared, text || ' Name', text || ' name', convert_to(text || ' name', 'UTF8'), text || '_user', text, text, text, text, 'US', text,
				email || E'\n' || text || E' name\n' || text || '_user', at, at, CASE WHEN deleted THEN at END
			FROM (SELECT 'cust_' || $2 || '_twin' || n AS id, 'twin' || n || '@example.com' AS email, false AS shared, 'same' AS text, false AS deleted, n FROM generate_series(1, 6) AS n
				UNION ALL SELECT 'cust_' || $2 || '_gone', 'gone@example.com', false, 'same', true, 7
				UNION ALL SELECT 'cust_' || $2 || '_marked', $2 || '@' || $2 || '.example', false, $2, false, 8
				UNION ALL SELECT 'cust_' || $2 || '_markedgone', $2 || '.gone@' || $2 || '.example', true, $2, true, 9
				UNION ALL SELECT 'cust_' || $2 || '_only', $3, false, 'same', false, 10
				UNION ALL SELECT '`+sharedID+`', 'shared@example.com', false, $2, false, 11) AS made,
			LATERAL (SELECT timestamptz '2026-01-01Z' + n * interval '1 minute' AS at) AS made_at`, s.ID, s.canary, s.only)
		d.Canaries.Note(s.canary, s.Name, s.twin, s.gone, s.marked, s.only)
	}
	for i := range all {
		for j := range all {
			if i != j {
				// The ids contain the canaries, so they need no entry.
				all[i].foreign = append(all[i].foreign, all[j].canary, all[j].ID, strings.ToLower(all[j].Name), string(all[j].WriteKey), string(all[j].ReadKey))
			}
		}
	}
	return all
}

// rowsOf returns the rows of a merchant's customers as JSON.
func rowsOf(t testing.TB, d *harness.Server, merchant string) []string {
	t.Helper()
	return d.Lines(t, "SELECT to_jsonb(c)::text FROM customers AS c WHERE merchant_id = $1 ORDER BY id", merchant)
}

var base64Runs = regexp.MustCompile(`[A-Za-z0-9_-]{16,}`)

// otherMerchantsData returns a message for each text of another merchant in these bytes, also
// inside cursors and tokens.
func (s otherMerchant) otherMerchantsData(text string) []string {
	forms := []string{text}
	for _, run := range base64Runs.FindAllString(text, -1) {
		if raw, err := base64.RawURLEncoding.DecodeString(run); err == nil {
			forms = append(forms, string(raw))
		}
	}
	var found []string
	for _, form := range forms {
		form = strings.ToLower(form)
		for _, foreign := range s.foreign {
			if at := strings.Index(form, foreign); at >= 0 {
				found = append(found, fmt.Sprintf("%s in %.300q", foreign, form[max(0, at-150):]))
			}
		}
	}
	return found
}

// lastCursor returns the cursor of the next page, or "" if there is none.
func lastCursor(t testing.TB, body string) string {
	t.Helper()
	var list struct{ NextCursor *string }
	require.NoError(t, json.Unmarshal([]byte(body), &list))
	if list.NextCursor == nil {
		return ""
	}
	return *list.NextCursor
}

// TestRepliesHoldNoOtherMerchantsData sends every request that a merchant can send, about other
// merchants' customers, its own and absent ones. No header, body or log line may contain another
// merchant's data, in clear or inside a cursor or a token, and no row of another merchant may
// change. The test does not check the rest of the replies: it must pass when one of the two guards
// of I1 is missing, and fail when both are.
func TestRepliesHoldNoOtherMerchantsData(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	all := otherMerchants(t, d)
	a, b, c := all[0], all[1], all[2]
	// Another merchant sends every kind of statement first. Anything that its requests leave in the
	// server, such as a setting of a connection, would become visible.
	for _, call := range calls {
		if !call.write || !call.byID {
			call.send(d, t, a.WriteKey, a.twin)
		}
	}
	foreignCursor := lastCursor(t, d.Send(t, a.WriteKey, "GET", "/api/customers?limit=1", "").Body)
	minted := func(body string) auth.Secret {
		var reply struct{ AccessToken struct{ Token auth.Secret } }
		_ = json.Unmarshal([]byte(d.Send(t, b.WriteKey, "POST", "/api/access-tokens", body).Body), &reply)
		return reply.AccessToken.Token
	}
	secret, bound := minted(`{"access":"write"}`), minted(`{"access":"write","customerId":"`+b.twin+`"}`)
	before := append(rowsOf(t, d, a.ID), rowsOf(t, d, c.ID)...)

	recorded := d.Canaries.Record(b.WriteKey, b.ReadKey, secret, bound)
	free := d.Send(t, b.WriteKey, "POST", "/api/customers", `{"email":"`+a.only+`"}`)
	ids := []string{a.twin, a.gone, a.marked, c.marked, "cust_" + a.canary + "_markedgone", a.ID, "cust_absent", "nonsense", b.marked, b.gone, sharedID}
	for _, key := range []auth.Secret{b.ReadKey, bound, b.WriteKey, secret} {
		d.GraphQL(t, key, `query($ids:[ID!]!){nodes(ids:$ids){id ...on Customer`+allFields+`}}`, map[string]any{"ids": ids})
		for _, id := range ids {
			for _, call := range calls {
				if !call.byID || call.write && id == b.marked {
					continue
				}
				call.send(d, t, key, id)
			}
		}
		for _, call := range calls {
			if !call.byID {
				call.send(d, t, key, "")
			}
		}
		// An address that only another merchant uses makes no difference.
		for _, address := range []string{a.only, c.only} {
			d.Send(t, key, "POST", "/api/customers", `{"email":"`+address+`"}`)
			d.Send(t, key, "POST", "/api/customers/"+b.twin, `{"email":"`+address+`"}`)
			d.GraphQL(t, key, operations["create"], map[string]any{"input": map[string]any{"email": address, "dangerouslyAllowSameEmailForDifferentCustomers": true}})
		}
	}
	searchEverywhere(t, d, b.ReadKey, a, foreignCursor)

	t.Run("no other merchant's data", func(t *testing.T) {
		require.NotContains(t, free.Body, "already exists", "an address of another merchant must be free")
		require.Empty(t, b.otherMerchantsData(recorded.String()))
		own := 0
		for line := range strings.Lines(d.Logged()) {
			if strings.Contains(line, b.ID) {
				own++
				require.Empty(t, b.otherMerchantsData(line))
			}
			require.NotContains(t, line, string(a.WriteKey))
		}
		require.Positive(t, own, "the log has no line of this merchant")
		require.Equal(t, before, append(rowsOf(t, d, a.ID), rowsOf(t, d, c.ID)...))
	})
	t.Run("the requests returned the merchant's own data", func(t *testing.T) {
		require.NotEmpty(t, secret)
		require.NotEmpty(t, bound)
		require.Greater(t, len(recorded.String()), 100_000)
		for _, own := range []string{b.canary, b.marked, "cust_" + b.canary + "_twin6", b.ID, b.only} {
			require.Contains(t, recorded.String(), own)
		}
		require.Contains(t, foreignCursor, "AWNk", "the requests must have used a valid cursor of another merchant")
	})
}

// searchEverywhere reads the lists with every filter and sort, and with values of merchant a.
func searchEverywhere(t testing.TB, d *harness.Server, key auth.Secret, a otherMerchant, foreignCursor string) {
	t.Helper()
	for _, query := range []string{"", "includeDeleted=true", "updatedSince=2020-01-01T00:00:00Z", "userId=same_user", "userId=" + a.canary + "_user", "email=twin1@example.com", "email=" + a.canary + "@" + a.canary + ".example", "email=" + url.QueryEscape(a.only)} {
		d.Send(t, key, "GET", "/api/customers?"+query, "")
		cursor := ""
		for range 4 {
			page := d.Send(t, key, "GET", "/api/customers?limit=3&"+query+cursor, "")
			if page.Status != 200 || lastCursor(t, page.Body) == "" {
				break
			}
			cursor = "&cursor=" + lastCursor(t, page.Body)
		}
		d.Send(t, key, "GET", "/api/customers?limit=250&cursor="+foreignCursor+"&"+query, "")
	}
	const list = `query($f:CustomerFilter,$s:CustomerSort,$n:Int,$l:Int,$a:String,$b:String){customers(filter:$f,sort:$s,first:$n,last:$l,after:$a,before:$b){
		totalCount pageInfo{hasNextPage hasPreviousPage startCursor endCursor} edges{cursor node` + allFields + `} nodes{id}}}`
	for _, filter := range []map[string]any{
		{}, {"includeDeleted": true}, {"search": a.canary}, {"search": "same"}, {"email": a.only}, {"userId": "same_user"}, {"billingCountry": "us"},
		{"createdAt": map[string]string{"from": "2026-01-01T00:00:00Z"}}, {"updatedAt": map[string]string{"before": "2027-01-01T00:00:00Z"}},
	} {
		for _, field := range []string{"CREATED_AT", "UPDATED_AT", "EMAIL", "NAME"} {
			variables := map[string]any{"f": filter, "s": map[string]string{"field": field, "direction": "ASC"}, "n": 4}
			first := d.GraphQL(t, key, list, variables)
			if found := regexp.MustCompile(`"startCursor":"([^"]+)","endCursor":"([^"]+)"`).FindStringSubmatch(first.Body); found != nil {
				variables["a"] = found[1]
				d.GraphQL(t, key, list, variables)
				delete(variables, "n")
				delete(variables, "a")
				variables["l"], variables["b"] = 3, found[2]
				d.GraphQL(t, key, list, variables)
			}
			d.GraphQL(t, key, list, map[string]any{"f": filter, "a": foreignCursor})
		}
	}
}

// TestOtherMerchantsDataIsDetected checks the check of TestRepliesHoldNoOtherMerchantsData, which
// would pass for any reply if the recorder recorded nothing or the search found nothing.
func TestOtherMerchantsDataIsDetected(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	all := otherMerchants(t, d)
	b := all[1]
	for name, text := range map[string]string{
		"a body":       `{"customer":{"name":"KANARIA Name"}}`,
		"an id":        `{"id":"` + all[2].twin + `"}`,
		"a header":     "Location: /api/customers/" + all[0].marked,
		"a cursor":     `{"nextCursor":"` + base64.RawURLEncoding.EncodeToString([]byte("\x01cd............\x10"+all[0].twin+"2026-01-01T00:00:00.000000Z")) + `"}`,
		"a token":      string(d.Mint(t, all[2].WriteKey, `{}`)),
		"a merchant":   `{"merchant":{"id":"` + all[0].ID + `"}}`,
		"another name": `{"merchant":{"name":"` + all[2].Name + `"}}`,
	} {
		require.NotEmpty(t, b.otherMerchantsData(text), name)
	}
	recorded := d.Canaries.Record(b.ReadKey)
	own := d.Send(t, b.ReadKey, "GET", "/api/customers/"+b.marked, "")
	require.Contains(t, recorded.String(), own.Body)
	require.Contains(t, recorded.String(), own.Header.Get("X-Request-Id"))
	require.Empty(t, b.otherMerchantsData(recorded.String()))
}
