package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/storetest"
)

// changeList is a reply of GET /api/changes.
type changeList struct {
	Changes    []change
	NextCursor string
	HasMore    bool
}

// change is a change as REST shows it.
type change struct {
	Sequence   int64
	Type       string
	At         time.Time
	CustomerID *string
	Version    int64
	Actor      struct{ Kind, ID, Name *string }
	RequestID  *string
	Reason     *string
	Customer   map[string]any
	Previous   map[string]any
	Fields     []struct {
		Field    string
		From, To any
	}
}

// feed reads a page of the log.
func feed(t testing.TB, d *harness.Server, key auth.Secret, query string) changeList {
	t.Helper()
	r := d.Send(t, key, "GET", "/api/changes?"+query, "")
	require.Equal(t, 200, r.Status, r.Body)
	var list changeList
	require.NoError(t, json.Unmarshal([]byte(r.Body), &list))
	return list
}

// query returns the parameters of a page after a cursor, or of the first page for "".
func query(limit, wait int, after string) string {
	q := fmt.Sprintf("limit=%d&wait=%d", limit, wait)
	if after != "" {
		q += "&after=" + after
	}
	return q
}

// wholeFeed follows the log from a cursor to its end.
func wholeFeed(t testing.TB, d *harness.Server, key auth.Secret, after string, limit int) (all []change, next string) {
	t.Helper()
	for {
		page := feed(t, d, key, query(limit, 0, after))
		all, after = append(all, page.Changes...), page.NextCursor
		if !page.HasMore {
			return all, after
		}
	}
}

// The log has each write of both APIs, with what it did, who made it and why.
func TestChangesAreRecorded(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Recorded")
	reason := header("Lumen-Reason", "Größe geändert")
	created := d.Send(t, m.WriteKey, "POST", "/api/customers", `{"email":"a@x.io","name":"Ann"}`, reason, header("X-Request-Id", "request-1"))
	require.Equal(t, 201, created.Status, created.Body)
	path := created.Header.Get("Location")
	id := strings.TrimPrefix(path, "/api/customers/")
	updated := d.Send(t, m.WriteKey, "PATCH", path, `{"name":null,"taxId":"T","email":"a@x.io"}`)
	nothing := d.Send(t, m.WriteKey, "PATCH", path, `{"taxId":"T"}`)
	token := d.Mint(t, m.WriteKey, `{"access":"write"}`)
	renamed := d.GraphQL(t, token, `mutation{updateCustomer(id:"`+id+`",input:{name:"Bob"}){userErrors{code}}}`, nil, header("Lumen-Reason", "typo"))
	deleted := d.Send(t, m.WriteKey, "DELETE", path, "")
	refused := d.Send(t, m.WriteKey, "PATCH", path, `{"name":"late"}`)
	require.Equal(t, []int{200, 200, 200, 200, 404}, []int{updated.Status, nothing.Status, renamed.Status, deleted.Status, refused.Status})

	list := feed(t, d, m.ReadKey, "")
	require.False(t, list.HasMore)
	require.Len(t, list.Changes, 4)
	var types []string
	for i, c := range list.Changes {
		require.EqualValues(t, i+1, c.Sequence)
		require.EqualValues(t, i+1, c.Version)
		require.Equal(t, id, *c.CustomerID)
		require.Equal(t, id, c.Customer["id"])
		require.Len(t, c.Customer, 14)
		require.NotContains(t, c.Previous, "updatedAt")
		require.NotNil(t, c.RequestID)
		types = append(types, c.Type)
	}
	require.Equal(t, []string{"customer.created", "customer.updated", "customer.updated", "customer.deleted"}, types)
	require.JSONEq(t, memberJSON(t, created.Body, "customer"), toJSON(t, list.Changes[0].Customer))
	require.JSONEq(t, memberJSON(t, updated.Body, "customer"), toJSON(t, list.Changes[1].Customer))
	require.Nil(t, list.Changes[0].Previous)
	require.Equal(t, map[string]any{"name": "Ann", "taxId": nil}, list.Changes[1].Previous)
	require.Equal(t, map[string]any{"name": nil}, list.Changes[2].Previous)
	require.Equal(t, map[string]any{}, list.Changes[3].Previous)
	require.NotNil(t, list.Changes[3].Customer["deletedAt"])
	require.Equal(t, "request-1", *list.Changes[0].RequestID)
	require.Equal(t, "Größe geändert", *list.Changes[0].Reason)
	require.Nil(t, list.Changes[1].Reason)
	require.Equal(t, "typo", *list.Changes[2].Reason)
	require.Equal(t, "api_key", *list.Changes[0].Actor.Kind)
	require.Equal(t, "access_token", *list.Changes[2].Actor.Kind)
	require.NotEqual(t, *list.Changes[0].Actor.ID, *list.Changes[2].Actor.ID)

	// The receipts of the replies name the changes.
	epoch, _, _ := strings.Cut(created.Header.Get("Lumen-Sequence"), ".")
	require.Regexp(t, "^[0-9a-f]{16}$", epoch)
	require.Equal(t, epoch+".1", created.Header.Get("Lumen-Sequence"))
	require.Equal(t, epoch+".2", updated.Header.Get("Lumen-Sequence"))
	require.Empty(t, nothing.Header.Values("Lumen-Sequence"))
	require.Equal(t, epoch+".3", renamed.Sequence)
	require.Equal(t, epoch+".4", deleted.Header.Get("Lumen-Sequence"))

	// The history has the same changes, the newest first.
	var history changeList
	require.NoError(t, json.Unmarshal([]byte(d.Send(t, m.ReadKey, "GET", path+"/history", "").Body), &history))
	require.Len(t, history.Changes, 4)
	for i, c := range history.Changes {
		require.EqualValues(t, 4-i, c.Sequence)
		require.Equal(t, list.Changes[3-i].Type, c.Type)
		require.Equal(t, list.Changes[3-i].Reason, c.Reason)
	}
	require.Equal(t, `[{"Field":"name","From":"Ann","To":null},{"Field":"taxId","From":null,"To":"T"}]`, toJSON(t, history.Changes[2].Fields))
	require.Equal(t, `[{"Field":"email","From":null,"To":"a@x.io"},{"Field":"name","From":null,"To":"Ann"}]`, toJSON(t, history.Changes[3].Fields))
	require.Empty(t, history.Changes[0].Fields)

	// GraphQL shows the same.
	r := d.GraphQL(t, m.ReadKey, `{changes(first:2,types:[CUSTOMER_UPDATED]){nodes{sequence version type customerId actor{kind} reason customer{id name version} fields{field from to}} pageInfo{hasNextPage hasPreviousPage}}}`, nil)
	require.Equal(t, `{"data":{"changes":{"nodes":[`+
		`{"sequence":2,"version":2,"type":"CUSTOMER_UPDATED","customerId":"`+id+`","actor":{"kind":"API_KEY"},"reason":null,"customer":{"id":"`+id+`","name":null,"version":2},"fields":[{"field":"name","from":"Ann","to":null},{"field":"taxId","from":null,"to":"T"}]},`+
		`{"sequence":3,"version":3,"type":"CUSTOMER_UPDATED","customerId":"`+id+`","actor":{"kind":"ACCESS_TOKEN"},"reason":"typo","customer":{"id":"`+id+`","name":"Bob","version":3},"fields":[{"field":"name","from":null,"to":"Bob"}]}],`+
		`"pageInfo":{"hasNextPage":true,"hasPreviousPage":false}}}}`, r.Body)
	other := d.Create(t, m, `{"email":"b@x.io"}`)
	r = d.GraphQL(t, m.ReadKey, `{customer(id:"`+other+`"){history{nodes{type fields{field to}} pageInfo{hasNextPage}}}}`, nil)
	require.Contains(t, r.Body, `{"data":{"customer":{"history":{"nodes":[{"type":"CUSTOMER_CREATED","fields":[{"field":"email","to":"b@x.io"}]}],"pageInfo":{"hasNextPage":false}}}}`)
}

// memberJSON returns the JSON of a member of a JSON object.
func memberJSON(t *testing.T, body, name string) string {
	t.Helper()
	var value map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(body), &value))
	return string(value[name])
}

func toJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return string(text)
}

// A client that follows the log sees each change once, whatever the size of its pages.
func TestChangesFollow(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m, other := d.Merchant(t, "Followed"), d.Merchant(t, "Other")
	start := feed(t, d, m.ReadKey, "after=now")
	require.Empty(t, start.Changes)
	require.Equal(t, start.NextCursor, feed(t, d, m.ReadKey, "").NextCursor)
	var ids []string
	for i := range 7 {
		ids = append(ids, d.Create(t, m, fmt.Sprintf(`{"email":"c%d@x.io"}`, i)))
		d.Create(t, other, fmt.Sprintf(`{"email":"c%d@x.io"}`, i))
	}
	require.Equal(t, 200, d.Send(t, m.WriteKey, "DELETE", "/api/customers/"+ids[3], "").Status)
	for limit := range 10 {
		all, next := wholeFeed(t, d, m.ReadKey, start.NextCursor, limit+1)
		require.Len(t, all, 8)
		for i, c := range all {
			require.EqualValues(t, i+1, c.Sequence)
			if i < 7 {
				require.Equal(t, ids[i], *c.CustomerID)
			}
		}
		require.Equal(t, feed(t, d, m.ReadKey, "after=now").NextCursor, next)
		end := feed(t, d, m.ReadKey, "after="+next)
		require.Equal(t, changeList{Changes: []change{}, NextCursor: next}, end)
	}
	sequences := func(query string) (found []int64) {
		for _, c := range feed(t, d, m.ReadKey, query).Changes {
			found = append(found, c.Sequence)
		}
		return found
	}
	require.Equal(t, []int64{8}, sequences("types=customer.deleted"))
	require.Equal(t, []int64{4, 8}, sequences("types=customer.deleted,customer.created&customerId="+ids[3]))
	require.Equal(t, []int64{3}, sequences("limit=1&customerId="+ids[2]))
	require.Empty(t, sequences("types=customer.updated"))
	require.Empty(t, sequences("customerId=cust_absent"))
}

// Each refusal of a request for changes.
func TestChangesRefusals(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m, other := d.Merchant(t, "Refused"), d.Merchant(t, "Other")
	id := d.Create(t, m, `{"email":"a@x.io"}`)
	d.Create(t, other, `{"email":"a@x.io"}`)
	at := feed(t, d, m.ReadKey, "after=now").NextCursor
	foreign := feed(t, d, other.ReadKey, "after=now").NextCursor
	for query, field := range map[string]string{
		"after=x": "after", "after=" + foreign: "after", "after=" + at + "A": "after", "after=" + at[:len(at)-1]: "after",
		"after=" + strings.ToLower(at): "after", "after=": "after", "limit=0": "limit", "limit=251": "limit", "limit=x": "limit",
		"types=customer": "types", "types=": "types", "types=customer.created,": "types", "types=customer.created,x.y": "types",
		"customerId=x": "customerId", "wait=26": "wait", "wait=-1": "wait", "wait=1s": "wait",
		"cursor=x": "cursor", "type=x": "type", "customer_id=" + id: "customer_id", "limit=1&limit=2": "limit",
	} {
		r := d.Send(t, m.ReadKey, "GET", "/api/changes?"+query, "")
		require.Equal(t, 400, r.Status, query)
		require.Equal(t, []string{field}, faultsOf(t, r.Body), query)
	}
	all := d.Send(t, m.ReadKey, "GET", "/api/changes?wait=26&limit=0&after=x&types=x&customerId=x", "")
	require.Equal(t, []string{"after", "limit", "types", "customerId", "wait"}, faultsOf(t, all.Body))

	bound := d.Mint(t, m.WriteKey, `{"access":"write","customerId":"`+id+`"}`)
	for _, path := range []string{"/api/changes", "/api/customers/" + id + "/history", "/api/customers/" + id + "?asOf=2026-01-01T00:00:00Z",
		"/api/changes?limit=0", "/api/customers/x/history", "/api/customers/x?asOf=x"} {
		require.Equal(t, answer{403, restForbidden}, brief(d.Send(t, bound, "GET", path, "")), path)
	}
	write := d.Send(t, bound, "PATCH", "/api/customers/"+id, `{"name":"own"}`)
	require.Equal(t, 200, write.Status)
	require.Empty(t, write.Header.Values("Lumen-Sequence"), "a sequence would tell how busy the merchant is")

	// A cursor expires when its epoch ends, and when it is outside of the log.
	expired := answer{410, `{"error":"This cursor has expired; list again and continue from the new cursor"}`}
	d.SQL(t, `UPDATE merchant_heads SET sequence = 0 WHERE merchant_id = $1`, m.ID)
	require.Equal(t, expired, brief(d.Send(t, m.ReadKey, "GET", "/api/changes?after="+at, "")), "beyond the head")
	d.SQL(t, `UPDATE merchant_heads SET sequence = 2 WHERE merchant_id = $1`, m.ID)
	require.Len(t, feed(t, d, m.ReadKey, "after="+at).Changes, 1)
	_, err := d.Owner(t).Changes.Prune(t.Context(), time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.Equal(t, expired, brief(d.Send(t, m.ReadKey, "GET", "/api/changes?after="+at, "")), "pruned")
	empty := feed(t, d, m.ReadKey, "")
	require.Empty(t, empty.Changes)
	_, err = d.Owner(t).Changes.NewEpoch(t.Context())
	require.NoError(t, err)
	require.Equal(t, expired, brief(d.Send(t, m.ReadKey, "GET", "/api/changes?after="+empty.NextCursor, "")), "of another epoch")
	r := d.GraphQL(t, m.ReadKey, `{changes(after:"`+at+`"){nodes{sequence}}}`, nil)
	require.Contains(t, r.Body, `"extensions":{"code":"CURSOR_EXPIRED"}`)
}

// Each fault of the header that states a reason.
func TestReasons(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Reasons")
	id := d.Create(t, m, `{"email":"a@x.io"}`)
	path := "/api/customers/" + id
	for reason, code := range map[string]string{
		strings.Repeat("ä", 255): "", strings.Repeat("ä", 256): "TOO_LONG", "\xff": "INVALID_FORMAT", "a\u0085b": "FORBIDDEN_CHARACTER", "": "",
	} {
		r := d.Send(t, m.WriteKey, "PATCH", path, `{"name":"N"}`, header("Lumen-Reason", reason))
		mutation := `mutation{updateCustomer(id:"` + id + `",input:{name:"N"}){userErrors{code field reason}}}`
		g := d.GraphQL(t, m.WriteKey, mutation, nil, header("Lumen-Reason", reason))
		if code == "" {
			require.Equal(t, 200, r.Status)
			require.Contains(t, g.Body, `"userErrors":[]`)
			continue
		}
		require.Equal(t, 400, r.Status)
		require.Contains(t, r.Body, `{"field":"Lumen-Reason","code":"`+code+`"`)
		require.Contains(t, g.Body, `"userErrors":[{"code":"INVALID_INPUT","field":["Lumen-Reason"],"reason":"`+code+`"}]`)
	}
	require.Equal(t, 400, d.Send(t, m.WriteKey, "DELETE", path, "", header("Lumen-Reason", "\xff")).Status)
	require.Equal(t, 400, d.Send(t, m.WriteKey, "POST", "/api/customers", `{"email":"b@x.io"}`, header("Lumen-Reason", "\xff")).Status)
}

// A write of a merchant without a head fails and changes nothing.
func TestChangeNeedsAHead(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Headless")
	id := d.Create(t, m, `{"email":"a@x.io"}`)
	before := allRows(t, d)
	d.SQL(t, "DELETE FROM merchant_heads WHERE merchant_id = $1", m.ID)
	for _, c := range []struct{ method, path, body, message string }{
		{"POST", "/api/customers", `{"email":"b@x.io"}`, "create"}, {"PATCH", "/api/customers/" + id, `{"name":"N"}`, "update"},
		{"DELETE", "/api/customers/" + id, "", "delete"},
	} {
		r := d.Send(t, m.WriteKey, c.method, c.path, c.body)
		require.Equal(t, 500, r.Status)
		require.Contains(t, r.Body, "Failed to "+c.message+" customer")
	}
	require.Equal(t, before, allRows(t, d))
	require.Equal(t, 200, d.Send(t, m.WriteKey, "PATCH", "/api/customers/"+id, `{}`).Status, "no change needs no head")
}

// A request that waits is answered by the next change, of this process or of another one.
func TestChangesWait(t *testing.T) {
	t.Parallel()
	here := harness.Serve(t)
	there := *here
	there.URLs = here.Start(t)
	m, other := here.Merchant(t, "Waiting"), here.Merchant(t, "Other")
	wait := func(query string) <-chan changeList {
		answered := make(chan changeList, 1)
		go func() {
			var list changeList
			r := here.Send(t, m.ReadKey, "GET", "/api/changes?"+query, "")
			if err := json.Unmarshal([]byte(r.Body), &list); err != nil {
				t.Error(err)
			}
			answered <- list
		}()
		return answered
	}
	for _, writer := range []*harness.Server{here, &there} {
		answered := wait("after=now&wait=20")
		time.Sleep(500 * time.Millisecond)
		writer.Create(t, other, `{"email":"`+harness.FreshEmail()+`"}`)
		select {
		case list := <-answered:
			t.Fatalf("another merchant's change answered: %v", list)
		case <-time.After(600 * time.Millisecond):
		}
		id := writer.Create(t, m, `{"email":"`+harness.FreshEmail()+`"}`)
		select {
		case list := <-answered:
			require.Len(t, list.Changes, 1)
			require.Equal(t, id, *list.Changes[0].CustomerID)
		case <-time.After(10 * time.Second):
			t.Fatal("no answer")
		}
	}
	// Changes that the request does not select leave it waiting.
	began := time.Now()
	answered := wait("after=now&wait=2&types=customer.deleted")
	time.Sleep(300 * time.Millisecond)
	here.Create(t, m, `{"email":"`+harness.FreshEmail()+`"}`)
	list := <-answered
	require.Empty(t, list.Changes)
	require.GreaterOrEqual(t, time.Since(began), 2*time.Second)
	require.Equal(t, feed(t, here, m.ReadKey, "after=now").NextCursor, list.NextCursor)
	require.Less(t, time.Since(began), 10*time.Second)

	// A key that is revoked meanwhile gets no changes.
	secret := auth.NewSecret()
	key, err := here.Owner(t).Keys.Create(t.Context(), owner.NewKey{MerchantID: m.ID, Access: store.ReadAccess, Secret: secret})
	require.NoError(t, err)
	refused := make(chan int, 1)
	go func() { refused <- here.Send(t, secret, "GET", "/api/changes?after=now&wait=20", "").Status }()
	time.Sleep(300 * time.Millisecond)
	_, err = here.Owner(t).Keys.Revoke(t.Context(), key.ID)
	require.NoError(t, err)
	time.Sleep(5 * time.Second) // within which a revocation takes effect
	here.Create(t, m, `{"email":"`+harness.FreshEmail()+`"}`)
	require.Equal(t, 401, <-refused)
}

// Readers that follow while writers write see every change once, in order, and the last state of each
// customer is the stored one.
func TestChangesUnderLoad(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Busy")
	var ids []string
	for i := range 4 {
		ids = append(ids, d.Create(t, m, fmt.Sprintf(`{"email":"c%d@x.io"}`, i)))
	}
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for n := range 25 {
				path := "/api/customers/" + ids[rand.IntN(len(ids))]
				if r := d.Send(t, m.WriteKey, "PATCH", path, fmt.Sprintf(`{"taxId":"%d-%d"}`, w, n)); r.Status != 200 {
					t.Error(r.Body)
				}
			}
		})
	}
	for r := range 3 {
		readers.Go(func() {
			after, last, versions, taxIDs := "", int64(0), map[string]int64{}, map[string]any{}
			for ended := false; ; {
				select {
				case <-done:
					ended = true
				default:
				}
				page := feed(t, d, m.ReadKey, query(3+r*40, r%2, after))
				after = page.NextCursor
				for _, c := range page.Changes {
					if c.Sequence != last+1 || c.Version != versions[*c.CustomerID]+1 {
						t.Errorf("change %d, version %d after %d, %d", c.Sequence, c.Version, last, versions[*c.CustomerID])
					}
					last, versions[*c.CustomerID], taxIDs[*c.CustomerID] = c.Sequence, c.Version, c.Customer["taxId"]
				}
				if ended && !page.HasMore && len(page.Changes) == 0 {
					break
				}
			}
			if last != 104 {
				t.Errorf("%d changes", last)
			}
			for id, taxID := range taxIDs {
				if got := memberOf(t, d.Send(t, m.ReadKey, "GET", "/api/customers/"+id, "").Body, "customer", "taxId"); got != taxID {
					t.Errorf("%s has %v, the log %v", id, got, taxID)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

// TestPrune runs the operator's commands on the log. Pruning deletes, of each merchant, the changes
// before the first one that is not before the time, and no change of a merchant behind it.
func TestPrune(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m, other := d.Merchant(t, "Pruned"), d.Merchant(t, "Kept")
	ids := map[string]string{}
	for _, of := range []storetest.Merchant{m, other} {
		ids[of.ID] = d.Create(t, of, `{"email":"a@x.io"}`)
		for n := range 3 {
			require.Equal(t, 200, d.Send(t, of.WriteKey, "PATCH", "/api/customers/"+ids[of.ID], fmt.Sprintf(`{"taxId":"%d"}`, n)).Status)
		}
	}
	// Times are not in the order of the sequences.
	for sequence, at := range map[int]string{1: "2020-01-01", 2: "2020-01-03", 3: "2020-01-02", 4: "2020-01-05"} {
		d.SQL(t, "UPDATE changes SET at = $3::timestamptz WHERE merchant_id = $1 AND sequence = $2", m.ID, sequence, at+"Z")
	}
	sequences := func(of storetest.Merchant) (found []int64) {
		all, _ := wholeFeed(t, d, of.ReadKey, "", 2)
		for _, c := range all {
			found = append(found, c.Sequence)
		}
		return found
	}
	oldest := feed(t, d, m.ReadKey, "limit=1").NextCursor
	run := func(args ...string) string {
		cmd := exec.Command(harness.Program(t), append([]string{"changes"}, append(args, "--owner-database-url", d.OwnerURL())...)...)
		cmd.Env = harness.Environment()
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	for _, step := range []struct {
		before, says string
		left         []int64
	}{
		{"2019-12-31", "Deleted 0 changes.\n", []int64{1, 2, 3, 4}},
		{"2020-01-02T12:00:00+01:00", "Deleted 1 changes.\n", []int64{2, 3, 4}},
		{"2020-01-02T12:00:00Z", "Deleted 0 changes.\n", []int64{2, 3, 4}},
		{"2020-01-04", "Deleted 2 changes.\n", []int64{4}},
	} {
		require.Equal(t, step.says, run("prune", "--before", step.before))
		require.Equal(t, step.left, sequences(m), step.before)
		require.Equal(t, []int64{1, 2, 3, 4}, sequences(other))
	}
	require.Equal(t, 410, d.Send(t, m.ReadKey, "GET", "/api/changes?after="+oldest, "").Status)
	history := d.Send(t, m.ReadKey, "GET", "/api/customers/"+ids[m.ID]+"/history", "")
	require.Equal(t, 1, strings.Count(history.Body, `"sequence":`))
	require.Equal(t, 200, d.Send(t, m.WriteKey, "PATCH", "/api/customers/"+ids[m.ID], `{"taxId":"later"}`).Status)
	require.Equal(t, []int64{4, 5}, sequences(m))

	newest := feed(t, d, other.ReadKey, "after=now").NextCursor
	require.JSONEq(t, `{"merchants":2}`, run("new-epoch", "--json"))
	require.Equal(t, 410, d.Send(t, other.ReadKey, "GET", "/api/changes?after="+newest, "").Status)
	require.Equal(t, []int64{1, 2, 3, 4}, sequences(other))
	require.JSONEq(t, `{"deleted":6}`, run("prune", "--before", "9999-01-01", "--json"))
	require.Empty(t, sequences(m))
}
