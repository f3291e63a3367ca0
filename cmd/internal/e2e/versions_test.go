package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

const conflictReply = `{"error":"The customer was changed in the meantime"}`

// versioned is a merchant with one customer, which has had two changes after its creation.
type versioned struct {
	*harness.Server
	storetest.Merchant
	path, id string
}

func newVersioned(t *testing.T, d *harness.Server, m storetest.Merchant) versioned {
	t.Helper()
	v := versioned{Server: d, Merchant: m, id: d.Create(t, m, `{"email":"`+harness.FreshEmail()+`"}`)}
	v.path = "/api/customers/" + v.id
	for _, name := range []string{"second", "third"} {
		require.Equal(t, 200, d.Send(t, m.WriteKey, "PATCH", v.path, `{"name":"`+name+`"}`).Status)
	}
	return v
}

// memberOf returns a text in a JSON object, by the names of the members that lead to it.
func memberOf(t *testing.T, body string, names ...string) string {
	t.Helper()
	var value any
	require.NoError(t, json.Unmarshal([]byte(body), &value))
	for _, name := range names {
		value = value.(map[string]any)[name]
	}
	return value.(string)
}

// faultsOf returns the fields that the details of a refusal name.
func faultsOf(t *testing.T, body string) (fields []string) {
	t.Helper()
	var refusal struct{ Details []struct{ Field string } }
	require.NoError(t, json.Unmarshal([]byte(body), &refusal))
	for _, fault := range refusal.Details {
		fields = append(fields, fault.Field)
	}
	return fields
}

// state returns the version and the name of the customer, or "" if it is not live.
func (v versioned) state(t *testing.T) string {
	t.Helper()
	rows := v.Lines(t, "SELECT version || ' ' || name FROM customers WHERE merchant_id = $1 AND id = $2 AND deleted_at IS NULL", v.ID, v.id)
	return strings.Join(rows, "")
}

// TestETags checks which replies name a version, and that it counts the changes that updatedAt shows.
func TestETags(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Tags")
	created := d.Send(t, m.WriteKey, "POST", "/api/customers", `{"email":"a@x.io","name":"A"}`)
	require.Equal(t, `"1"`, created.Header.Get("ETag"))
	path := created.Header.Get("Location")
	updatedAt := func(body string) string { return memberOf(t, body, "customer", "updatedAt") }
	last := updatedAt(created.Body)
	for i, c := range []struct{ method, body, tag string }{
		{"PATCH", `{"name":"B"}`, `"2"`}, {"PATCH", `{"name":" B "}`, `"2"`}, {"POST", `{}`, `"2"`},
		{"POST", `{"name":null,"taxId":"T"}`, `"3"`}, {"PATCH", `{"email":"a@x.io"}`, `"3"`}, {"PATCH", `{"email":"A@x.io"}`, `"4"`},
		{"PATCH", `{"dangerouslyAllowSameEmailForDifferentCustomers":true}`, `"4"`},
	} {
		before := last
		r := d.Send(t, m.WriteKey, c.method, path, c.body)
		require.Equal(t, 200, r.Status, r.Body)
		require.Equal(t, c.tag, r.Header.Get("ETag"), "%d: %s", i, c.body)
		require.Equal(t, c.tag, d.Send(t, m.ReadKey, "GET", path, "").Header.Get("ETag"))
		require.Equal(t, c.tag, d.Send(t, m.ReadKey, "HEAD", path, "").Header.Get("ETag"))
		last = updatedAt(r.Body)
		require.LessOrEqual(t, before, last)
	}
	require.Empty(t, d.Send(t, m.ReadKey, "GET", "/api/customers", "").Header.Get("ETag"))
	require.Empty(t, d.Send(t, m.ReadKey, "GET", path+"x", "").Header.Get("ETag"))
	require.Empty(t, d.Send(t, m.WriteKey, "PATCH", path, `{"name":1}`).Header.Get("ETag"))
	require.Empty(t, d.Send(t, m.WriteKey, "DELETE", path, "").Header.Get("ETag"))
	require.Equal(t, []string{"5"}, d.Lines(t, "SELECT version::text FROM customers"), "a deletion is a change")
}

// TestIfMatch sends each form of the header with each method that takes it.
func TestIfMatch(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Conditions")
	const malformed = `{"error":"Invalid request data","details":[{"field":"If-Match","code":"INVALID_FORMAT","message":"If-Match must be *, or entity tags in quotes such as \"7\""}]}`
	for _, c := range []struct {
		values []string
		status int
	}{
		{nil, 200}, {[]string{`"3"`}, 200}, {[]string{`W/"3"`}, 200}, {[]string{"*"}, 200}, {[]string{" * "}, 200},
		{[]string{`"9", "3"`}, 200}, {[]string{`"9" ,	W/"3",`}, 200}, {[]string{`"9"`, `"3"`}, 200}, {[]string{`, "3"`}, 200},
		{[]string{`"2"`}, 412}, {[]string{`"4"`}, 412}, {[]string{`"2","4"`}, 412}, {[]string{`""`}, 412}, {[]string{`"03"`}, 412},
		{[]string{`"+3"`}, 412}, {[]string{`"three"`}, 412}, {[]string{`"3,"`}, 412}, {[]string{`"99999999999999999999"`}, 412},
		{[]string{"3"}, 400}, {[]string{`"3`}, 400}, {[]string{`3"`}, 400}, {[]string{`w/"3"`}, 400}, {[]string{`"3" "4"`}, 400},
		{[]string{""}, 400}, {[]string{","}, 400}, {[]string{`*, "3"`}, 400}, {[]string{`"3", *`}, 400}, {[]string{`'3'`}, 400},
		{[]string{`"a b"`}, 400}, {[]string{`W/`}, 400}, {[]string{`"3";`}, 400},
	} {
		condition := func(r *http.Request) {
			if c.values != nil {
				r.Header["If-Match"] = c.values
			}
		}
		for _, method := range []string{"POST", "PATCH", "DELETE"} {
			v := newVersioned(t, d, m)
			name, body := fmt.Sprintf("%s %q", method, c.values), `{"name":"fourth"}`
			if method == "DELETE" {
				body = ""
			}
			r := v.Send(t, v.WriteKey, method, v.path, body, condition)
			require.Equal(t, c.status, r.Status, "%s: %s", name, r.Body)
			want := "3 third"
			switch {
			case c.status == 412:
				require.Equal(t, conflictReply, r.Body, name)
				require.Equal(t, `"3"`, r.Header.Get("ETag"), name)
			case c.status == 400:
				require.Equal(t, malformed, r.Body, name)
			case method == "DELETE":
				want = ""
			default:
				require.Equal(t, `"4"`, r.Header.Get("ETag"), name)
				want = "4 fourth"
			}
			require.Equal(t, want, v.state(t), name)
		}
	}
}

// TestOrderOfVersions checks the place of a conflict in the order of faults: after the fields and the
// existence, before the uniqueness.
func TestOrderOfVersions(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	v := newVersioned(t, d, d.Merchant(t, "Versioned"))
	d.Create(t, v.Merchant, `{"email":"taken@x.io"}`)
	stranger := d.Merchant(t, "Stranger")
	deleted := d.Create(t, v.Merchant, `{"email":"deleted@x.io"}`)
	require.Equal(t, 200, d.Send(t, v.WriteKey, "DELETE", "/api/customers/"+deleted, "").Status)
	wrong := header("If-Match", `"2"`)

	for _, method := range []string{"PATCH", "DELETE"} {
		for _, c := range []struct{ key, path string }{
			{string(v.WriteKey), "/api/customers/cust_absent"}, {string(v.WriteKey), "/api/customers/" + deleted},
			{string(stranger.WriteKey), v.path},
		} {
			plain := d.Send(t, v.WriteKey, method, "/api/customers/cust_absent", `{"name":"N"}`)
			r := d.Send(t, v.WriteKey, method, c.path, `{"name":"N"}`, wrong, header("Authorization", "Bearer "+c.key))
			require.Equal(t, brief(plain), brief(r), "%s %s", method, c.path)
			require.Equal(t, stable(plain.Header), stable(r.Header), "%s %s", method, c.path)
			require.Equal(t, 404, r.Status)
		}
	}

	both := d.Send(t, v.WriteKey, "PATCH", v.path, `{"taxId":7,"billingCountry":"UK"}`, header("If-Match", "7"))
	require.Equal(t, 400, both.Status)
	require.Equal(t, []string{"If-Match", "billingCountry", "taxId"}, faultsOf(t, both.Body))
	require.Equal(t, 412, d.Send(t, v.WriteKey, "PATCH", v.path, `{"email":"taken@x.io"}`, wrong).Status)
	require.Equal(t, 409, d.Send(t, v.WriteKey, "PATCH", v.path, `{"email":"taken@x.io"}`, header("If-Match", `"3"`)).Status)
	require.Equal(t, 400, d.Send(t, v.WriteKey, "PATCH", v.path, `{"name":true}`, wrong).Status)
	require.Equal(t, 403, d.Send(t, v.ReadKey, "PATCH", v.path, `{"name":"N"}`, header("If-Match", "7")).Status)
	// An update that changes nothing is judged, too.
	require.Equal(t, 412, d.Send(t, v.WriteKey, "PATCH", v.path, `{}`, wrong).Status)
	require.Equal(t, "3 third", v.state(t))

	bound := d.Mint(t, v.WriteKey, `{"access":"write","customerId":"`+v.id+`"}`)
	require.Equal(t, 412, d.Send(t, bound, "PATCH", v.path, `{"name":"own"}`, wrong).Status)
	require.Equal(t, 200, d.Send(t, bound, "PATCH", v.path, `{"name":"own"}`, header("If-Match", `"3"`)).Status)
	require.Equal(t, "4 own", v.state(t))
}

// TestIfNoneMatch checks that a client that has the version gets no body.
func TestIfNoneMatch(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	v := newVersioned(t, d, d.Merchant(t, "Versioned"))
	for value, status := range map[string]int{
		`"3"`: 304, `W/"3"`: 304, `"9", "3"`: 304, "*": 304, `"2"`: 200, `"4"`: 200, `"three"`: 200, "3": 200, "": 200,
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r := d.Send(t, v.ReadKey, method, v.path, "", header("If-None-Match", value))
			require.Equal(t, status, r.Status, "%s %s", method, value)
			require.Equal(t, `"3"`, r.Header.Get("ETag"), value)
			require.Equal(t, status == 200 && method == "GET", r.Body != "", value)
		}
	}
	require.Equal(t, 404, d.Send(t, v.ReadKey, "GET", "/api/customers/cust_absent", "", header("If-None-Match", "*")).Status)

	// Compression neither changes nor drops the tag.
	long := strings.Repeat("long ", 50)
	large := d.Send(t, v.WriteKey, "PATCH", v.path, `{"billingAddressLine1":"`+long+`","billingAddressLine2":"`+long+`","billingCity":"`+long+`","name":"`+long+`"}`)
	require.Equal(t, 200, large.Status)
	packed := d.Send(t, v.ReadKey, "GET", v.path, "", header("Accept-Encoding", "gzip"))
	require.Equal(t, "gzip", packed.Header.Get("Content-Encoding"))
	require.Equal(t, large.Header.Get("ETag"), packed.Header.Get("ETag"))
}

// TestExpectedVersion checks the conditions of GraphQL's mutations.
func TestExpectedVersion(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	const (
		update = `mutation($id:ID!,$in:UpdateCustomerInput!,$v:Int){updateCustomer(id:$id,input:$in,expectedVersion:$v){customer{name version} currentVersion userErrors{code field message}}}`
		remove = `mutation($id:ID!,$v:Int){deleteCustomer(id:$id,expectedVersion:$v){deletedCustomerId currentVersion userErrors{code field message}}}`
		fault  = `"userErrors":[{"code":"VERSION_CONFLICT","field":["expectedVersion"],"message":"The customer was changed in the meantime"}]`
	)
	v := newVersioned(t, d, d.Merchant(t, "Versioned"))
	send := func(query, id, input string, expected any) string {
		t.Helper()
		r := d.GraphQL(t, v.WriteKey, query, fmt.Sprintf(`{"id":%q,"in":%s,"v":%v}`, id, input, expected))
		require.Equal(t, 200, r.Status)
		return r.Body
	}
	for _, expected := range []string{"2", "4", "0", "-3"} {
		require.Equal(t, `{"data":{"updateCustomer":{"customer":null,"currentVersion":3,`+fault+`}}}`, send(update, v.id, `{"name":"N"}`, expected))
		require.Equal(t, `{"data":{"deleteCustomer":{"deletedCustomerId":null,"currentVersion":3,`+fault+`}}}`, send(remove, v.id, "{}", expected))
	}
	require.Equal(t, `{"data":{"updateCustomer":{"customer":{"name":"fourth","version":4},"currentVersion":4,"userErrors":[]}}}`, send(update, v.id, `{"name":"fourth"}`, 3))
	require.Equal(t, `{"data":{"updateCustomer":{"customer":{"name":"fourth","version":4},"currentVersion":4,"userErrors":[]}}}`, send(update, v.id, `{"name":"fourth"}`, "null"))
	require.Contains(t, send(update, "cust_absent", `{"name":"N"}`, 1), `"currentVersion":null,"userErrors":[{"code":"NOT_FOUND","field":["id"]`)
	require.Equal(t, `{"data":{"deleteCustomer":{"deletedCustomerId":"`+v.id+`","currentVersion":5,"userErrors":[]}}}`, send(remove, v.id, "{}", 4))
	require.Contains(t, send(remove, v.id, "{}", 5), `"currentVersion":null,"userErrors":[{"code":"NOT_FOUND","field":["id"]`)
	require.Contains(t, d.GraphQL(t, v.ReadKey, `{customers(filter:{includeDeleted:true}){nodes{version}}}`, nil).Body, `{"nodes":[{"version":5}]}`)
}

// TestNoUpdateIsLost lets clients of both APIs count in one field, each from the value that it has
// read.
func TestNoUpdateIsLost(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	v := newVersioned(t, d, d.Merchant(t, "Versioned"))
	require.Equal(t, 200, d.Send(t, v.WriteKey, "PATCH", v.path, `{"taxId":"0"}`).Status)
	const clients, steps = 8, 5
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for done := 0; done < steps; {
				r := d.Send(t, v.ReadKey, "GET", v.path, "")
				n, err := strconv.Atoi(memberOf(t, r.Body, "customer", "taxId"))
				if err != nil {
					t.Error(err)
					return
				}
				tag, next := r.Header.Get("ETag"), strconv.Itoa(n+1)
				if i%2 == 0 {
					if d.Send(t, v.WriteKey, "PATCH", v.path, `{"taxId":"`+next+`"}`, header("If-Match", tag)).Status == 200 {
						done++
					}
					continue
				}
				const query = `mutation($id:ID!,$in:UpdateCustomerInput!,$v:Int){updateCustomer(id:$id,input:$in,expectedVersion:$v){userErrors{code}}}`
				reply := d.GraphQL(t, v.WriteKey, query, fmt.Sprintf(`{"id":%q,"in":{"taxId":%q},"v":%s}`, v.id, next, strings.Trim(tag, `"`)))
				if strings.Contains(reply.Body, `"userErrors":[]`) {
					done++
				}
			}
		})
	}
	all.Wait()
	require.Equal(t, []string{fmt.Sprintf("%d %d", clients*steps, 4+clients*steps)},
		d.Lines(t, "SELECT tax_id || ' ' || version FROM customers"))
}
