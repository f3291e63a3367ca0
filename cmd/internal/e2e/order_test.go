package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
)

// The bodies of REST's error replies.
const (
	restNotFound    = `{"error":"Not found"}`
	restNoMethod    = `{"error":"Method not allowed"}`
	restNoAccess    = `{"error":"Unauthorized"}`
	restForbidden   = `{"error":"This credential may not do that"}`
	restBadID       = `{"error":"Invalid customer ID format"}`
	restMediaType   = `{"error":"Content-Type must be application/json"}`
	restTooLarge    = `{"error":"Request body too large"}`
	restBadJSON     = `{"error":"The request body is not valid JSON"}`
	restNoObject    = `{"error":"The request body must be one JSON object"}`
	restEncoded     = `{"error":"Content-Encoding must be identity"}`
	restEmailNeeded = `{"error":"Email is required"}`
	restNoCustomer  = `{"error":"Customer not found or access denied"}`
)

// restInvalid returns the body of a reply about invalid fields. Each fault is "field CODE",
// followed by its message if the field has more than one.
func restInvalid(faults ...string) string {
	var details []string
	for _, f := range faults {
		field, code, _ := strings.Cut(f, " ")
		code, message, given := strings.Cut(code, " ")
		if !given {
			message = expectedMessage(field, code)
		}
		details = append(details, fmt.Sprintf(`{"field":%q,"code":%q,"message":"%s %s"}`, field, code, field, message))
	}
	return `{"error":"Invalid request data","details":[` + strings.Join(details, ",") + `]}`
}

// TestOrderOfChecks sends requests with two faults. The reply must be about the one that the
// documented order checks first. It fails if a check moves, for example so that a body is parsed
// before the credential is checked.
func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Order")
	one := "/api/customers/" + d.Create(t, m, `{"email":"one@example.com"}`)
	two := "/api/customers/" + d.Create(t, m, `{"email":"two@example.com"}`)
	const tokens = "/api/access-tokens"
	token := d.Mint(t, m.WriteKey, `{"access":"write"}`)
	bound := d.Mint(t, m.WriteKey, `{"access":"write","customerId":"`+strings.TrimPrefix(one, "/api/customers/")+`"}`)
	reader := d.Mint(t, m.WriteKey, `{"customerId":"`+strings.TrimPrefix(one, "/api/customers/")+`"}`)
	huge := strings.Repeat("x", 64<<10+1)
	text := header("Content-Type", "text/plain")

	for _, c := range []struct {
		name         string
		key          auth.Secret
		method, path string
		body         string
		change       func(*http.Request)
		want         answer
	}{
		{"route before credential", "", "GET", "/api/nothing", "", nil, answer{404, restNotFound}},
		{"method before credential", "", "PUT", one, "{}", nil, answer{405, restNoMethod}},
		{"credential before access", "lumen_sk_unknown", "POST", one, "{}", nil, answer{401, restNoAccess}},
		{"credential before id", "", "GET", "/api/customers/bad", "", nil, answer{401, restNoAccess}},
		{"credential before size", "", "POST", "/api/customers", huge, nil, answer{401, restNoAccess}},
		{"credential before list parameters", "", "GET", "/api/customers?limit=0", "", nil, answer{401, restNoAccess}},
		{"access before id on update", m.ReadKey, "POST", "/api/customers/bad", "{}", nil, answer{403, restForbidden}},
		{"access before id on delete", m.ReadKey, "DELETE", "/api/customers/bad", "", nil, answer{403, restForbidden}},
		{"access before media type", m.ReadKey, "POST", "/api/customers", "{}", text, answer{403, restForbidden}},
		{"access before JSON", m.ReadKey, "PATCH", one, "{", nil, answer{403, restForbidden}},
		{"access before existence", m.ReadKey, "DELETE", "/api/customers/cust_absent", "", nil, answer{403, restForbidden}},
		{"id before media type", m.WriteKey, "POST", "/api/customers/bad", "{}", text, answer{400, restBadID}},
		{"id before size", m.WriteKey, "POST", "/api/customers/bad", huge, nil, answer{400, restBadID}},
		{"id before JSON", m.WriteKey, "PATCH", "/api/customers/bad", "{", nil, answer{400, restBadID}},
		{"media type before size on create", m.WriteKey, "POST", "/api/customers", huge, text, answer{415, restMediaType}},
		{"media type before size on update", m.WriteKey, "POST", one, huge, text, answer{415, restMediaType}},
		{"size before JSON on create", m.WriteKey, "POST", "/api/customers", huge, nil, answer{413, restTooLarge}},
		{"size before JSON on update", m.WriteKey, "POST", one, huge, nil, answer{413, restTooLarge}},
		{"JSON before fields", m.WriteKey, "POST", "/api/customers", `{"email":"bad"`, nil, answer{400, restBadJSON}},
		{"JSON before existence", m.WriteKey, "POST", "/api/customers/cust_absent", `{}{}`, nil, answer{400, restBadJSON}},
		{"a missing email before other fields", m.WriteKey, "POST", "/api/customers", `{"name":5,"billingCountry":"XX"}`, nil, answer{400, restEmailNeeded}},
		{"all fields together", m.WriteKey, "POST", "/api/customers", `{"email":"bad","name":5}`, nil, answer{400, restInvalid("email INVALID_FORMAT", "name WRONG_TYPE")}},
		{"fields before existence", m.WriteKey, "POST", "/api/customers/cust_absent", `{"email":"bad"}`, nil, answer{400, restInvalid("email INVALID_FORMAT")}},
		{"fields before uniqueness", m.WriteKey, "POST", "/api/customers", `{"email":"one@example.com","taxId":5}`, nil, answer{400, restInvalid("taxId WRONG_TYPE")}},
		{"existence before uniqueness", m.WriteKey, "POST", "/api/customers/cust_absent", `{"email":"one@example.com"}`, nil, answer{404, restNoCustomer}},
		{"method before credential, to mint", "", "GET", tokens, "", nil, answer{405, restNoMethod}},
		{"credential before access, to mint", "lumen_sk_unknown", "POST", tokens, "{", text, answer{401, restNoAccess}},
		{"access before media type, to mint", m.ReadKey, "POST", tokens, "{}", text, answer{403, restForbidden}},
		{"access before size, to mint", token, "POST", tokens, huge, nil, answer{403, restForbidden}},
		{"access before JSON, to mint", bound, "POST", tokens, "{", nil, answer{403, restForbidden}},
		{"media type before size, to mint", m.WriteKey, "POST", tokens, huge, text, answer{415, restMediaType}},
		{"size before JSON, to mint", m.WriteKey, "POST", tokens, huge, nil, answer{413, restTooLarge}},
		{"JSON before fields, to mint", m.WriteKey, "POST", tokens, `{"expiresIn":0`, nil, answer{400, restBadJSON}},
		{"fields before existence, to mint", m.WriteKey, "POST", tokens, `{"customerId":"cust_absent","expiresIn":0}`, nil, answer{400, restInvalid("expiresIn INVALID_FORMAT")}},
		{"existence comes last, to mint", m.WriteKey, "POST", tokens, `{"customerId":"cust_absent"}`, nil, answer{404, restNoCustomer}},
		{"access before list parameters, bound", bound, "GET", "/api/customers?limit=0", "", nil, answer{403, restForbidden}},
		{"access before media type, bound", bound, "POST", "/api/customers", "{}", text, answer{403, restForbidden}},
		{"access before id, bound", bound, "DELETE", "/api/customers/bad", "", nil, answer{403, restForbidden}},
		{"access before existence, bound", bound, "DELETE", two, "", nil, answer{403, restForbidden}},
		{"access before id, bound to read", reader, "POST", "/api/customers/bad", "{}", nil, answer{403, restForbidden}},
		{"access before JSON, bound to read", reader, "POST", one, "{", nil, answer{403, restForbidden}},
		{"id before access to the email", bound, "POST", "/api/customers/bad", `{"email":"a@example.com"}`, nil, answer{400, restBadID}},
		{"JSON before access to the email", bound, "POST", one, `{"email":"a@example.com"`, nil, answer{400, restBadJSON}},
		{"access to the email before fields", bound, "POST", one, `{"email":"bad","name":5}`, nil, answer{403, restForbidden}},
		{"access to the email before a missing email", bound, "POST", one, `{"email":null}`, nil, answer{403, restForbidden}},
		{"access to the email before existence", bound, "POST", two, `{"email":"a@example.com"}`, nil, answer{403, restForbidden}},
		{"access to the email before uniqueness", bound, "POST", one, `{"email":"two@example.com"}`, nil, answer{403, restForbidden}},
		{"fields before existence, bound", bound, "POST", two, `{"name":5}`, nil, answer{400, restInvalid("name WRONG_TYPE")}},
		{"uniqueness comes last", m.WriteKey, "POST", one, `{"email":"two@example.com"}`, nil, answer{409, `{"error":"` + takenByAnother.text + `"}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			changes := []func(*http.Request){}
			if c.change != nil {
				changes = append(changes, c.change)
			}
			r := d.Send(t, c.key, c.method, c.path, c.body, changes...)
			require.Equal(t, c.want, brief(r))
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))
			require.Equal(t, c.want.status == 401, r.Header.Get("WWW-Authenticate") == "Bearer")
			require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
		})
	}
}

// TestRoutes checks the routes of REST: methods and Allow, unclean paths, encoded ids, PATCH, HEAD
// and Location.
func TestRoutes(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Routes")
	id := d.Create(t, m, `{"email":"one@example.com"}`)
	one := "/api/customers/" + id

	t.Run("405 lists the methods of the route", func(t *testing.T) {
		t.Parallel()
		for path, allow := range map[string]string{"/api/customers": "GET, HEAD, POST", one: "DELETE, GET, HEAD, PATCH, POST"} {
			for _, method := range []string{"PUT", "OPTIONS", "TRACE", "BREW", "get"} {
				r := d.Send(t, m.WriteKey, method, path, "", header("X-HTTP-Method-Override", "DELETE"))
				require.Equal(t, answer{405, restNoMethod}, brief(r), method)
				require.Equal(t, allow, r.Header.Get("Allow"))
			}
		}
		for _, method := range []string{"DELETE", "PATCH"} {
			require.Equal(t, answer{405, restNoMethod}, brief(d.Send(t, m.WriteKey, method, "/api/customers", "{}")))
		}
	})
	t.Run("an unclean path is not redirected", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{
			"//api/customers", "/api//customers", "/api/customers/", "/./api/customers", "/api/../api/customers", "/api/customers/.", "/api/customers/..",
			"/api/customers//" + id, one + "/", one + "/.", "/API/customers", "/api/Customers", "/api/customers/a/b", "/api", "/graphql/", "//graphql", "/index.html",
		} {
			for _, method := range []string{"GET", "POST", "DELETE", "HEAD"} {
				r := d.Send(t, m.WriteKey, method, path, "")
				want := answer{404, restNotFound}
				if method == "HEAD" {
					want.body = ""
				}
				require.Equal(t, want, brief(r), "%s %s", method, path)
				require.Empty(t, r.Header.Get("Location"))
			}
		}
	})
	t.Run("an encoded segment is an id", func(t *testing.T) {
		t.Parallel()
		for _, segment := range []string{"%2e%2e", "cust_1%2F", "%00", "cust_%00", "cust_1%0a", "%c0%80", "%F5", "cust_%D9%A1", "'%20OR%201=1--", "cust_1?x", "$1", strings.Repeat("x", 8<<10)} {
			want := answer{400, restBadID}
			if segment == "cust_1?x" { // a query
				want = answer{404, restNoCustomer}
			}
			require.Equal(t, want, brief(d.Send(t, m.WriteKey, "GET", "/api/customers/"+segment, "")), segment)
			require.Equal(t, want, brief(d.Send(t, m.WriteKey, "DELETE", "/api/customers/"+segment, "")), segment)
			require.Equal(t, want, brief(d.Send(t, m.WriteKey, "POST", "/api/customers/"+segment, `{}`)), segment)
		}
		// A percent-encoded id is equal to the plain one.
		require.Equal(t, 200, d.Send(t, m.WriteKey, "GET", "/api/customers/"+strings.Replace(id, "cust_", "%63ust%5F", 1), "").Status)
	})
	t.Run("PATCH does the same as POST", func(t *testing.T) {
		t.Parallel()
		path := "/api/customers/" + d.Create(t, m, `{"email":"patch@example.com","name":"N"}`)
		posted := d.Send(t, m.WriteKey, "POST", path, `{"name":"P"}`)
		patched := d.Send(t, m.WriteKey, "PATCH", path, `{"name":"P"}`)
		require.Equal(t, brief(posted), brief(patched))
		require.Contains(t, patched.Body, `"name":"P"`)
	})
	t.Run("Location is the path of the created customer", func(t *testing.T) {
		t.Parallel()
		created := d.Send(t, m.WriteKey, "POST", "/api/customers", `{"email":"location@example.com"}`)
		require.Equal(t, 201, created.Status)
		require.Equal(t, answer{200, created.Body}, brief(d.Send(t, m.WriteKey, "GET", created.Header.Get("Location"), "")))
	})
	t.Run("HEAD is GET without the body", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{one, "/api/customers/cust_absent", "/api/customers/bad", "/api/customers?limit=0"} {
			get, head := d.Send(t, m.WriteKey, "GET", path, ""), d.Send(t, m.WriteKey, "HEAD", path, "")
			require.Empty(t, head.Body)
			require.Equal(t, get.Status, head.Status)
			require.Equal(t, stable(get.Header), stable(head.Header), path)
		}
		require.Equal(t, 401, d.Send(t, "", "HEAD", "/api/customers", "").Status)
	})
}

// TestHeadOfTheListReadsNoCustomers locks the table of customers and sends HEAD requests for the
// list. They must succeed, since a reply to HEAD needs no rows; a request that read the table would
// wait and fail.
func TestHeadOfTheListReadsNoCustomers(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Head")
	tx, err := d.Superuser().Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
	_, err = tx.Exec(t.Context(), "LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	for _, path := range []string{"/api/customers", "/api/customers?limit=5", "/api/customers?includeDeleted=true"} {
		r := d.Send(t, m.WriteKey, "HEAD", path, "")
		require.Equal(t, answer{200, ""}, brief(r))
		require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	}
}

// stable returns the headers that do not change from one request to the next.
func stable(h http.Header) http.Header {
	h = h.Clone()
	h.Del("Date")
	h.Del("X-Request-Id")
	return h
}

// TestRequestHeaders checks which forms of the headers both APIs accept: the credential, the type,
// encoding and size of the body, and the request id.
func TestRequestHeaders(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Headers")
	good := "Bearer " + string(m.WriteKey)

	t.Run("one Authorization header with Bearer and the key", func(t *testing.T) {
		t.Parallel()
		for _, authorization := range [][]string{{good}, {"bearer " + string(m.WriteKey)}, {"BEARER " + string(m.ReadKey)}, {"Bearer  " + string(m.WriteKey)}, {"bearer" + strings.Repeat(" ", 100) + string(m.WriteKey)}} {
			require.Equal(t, 200, d.Send(t, "", "GET", "/api/customers", "", header("Authorization", authorization...)).Status, authorization)
		}
		for _, authorization := range [][]string{
			nil, {""}, {good, good}, {good, ""}, {"Bearer"}, {"Bearer "}, {string(m.WriteKey)}, {"Basic " + string(m.WriteKey)},
			{good + "x"}, {good[:len(good)-1]}, {"Bearer " + strings.ToUpper(string(m.WriteKey))}, {good + ", " + good}, {"Bearer\t" + string(m.WriteKey)}, {"Bearer \t" + string(m.WriteKey)}, {"Bearer    "}, {"Bearer lumen_sk_"},
		} {
			r := d.Send(t, "", "GET", "/api/customers", "", header("Authorization", authorization...))
			require.Equal(t, answer{401, restNoAccess}, brief(r), authorization)
			require.Equal(t, "Bearer", r.Header.Get("WWW-Authenticate"))
			r = d.Send(t, "", "POST", "/graphql", `{"query":"{merchant{id}}"}`, header("Authorization", authorization...))
			require.Equal(t, answer{401, `{"errors":[{"message":"Unauthorized","extensions":{"code":"UNAUTHENTICATED"}}]}`}, brief(r), authorization)
			require.Equal(t, "Bearer", r.Header.Get("WWW-Authenticate"))
		}
		require.Equal(t, 401, d.Send(t, "", "GET", "/api/customers?key="+string(m.WriteKey)+"&access_token="+string(m.WriteKey), "").Status)
	})
	t.Run("a body of uncompressed JSON", func(t *testing.T) {
		t.Parallel()
		refused, accepted, encoded := 415, 0, 1
		for _, c := range []struct {
			change func(*http.Request)
			want   int
		}{
			{header("Content-Type", "application/json; charset=utf-8"), accepted},
			{header("Content-Type", "application/json;charset=UTF-8"), accepted},
			{header("Content-Type", `Application/JSON; charset="utf-8"`), accepted},
			{header("Content-Type", "application/json; charset=utf8"), accepted},
			{header("Content-Type", `application/json; charset="UTF8"`), accepted},
			{header("Content-Type", "application/json; charset=us-ascii"), accepted},
			{header("Content-Type", "application/json; Charset=ASCII"), accepted},
			{header("Content-Encoding", "identity"), accepted},
			{header("Content-Encoding", "Identity", "identity, IDENTITY"), accepted},
			{header("Content-Type"), refused},
			{header("Content-Type", ""), refused},
			{header("Content-Type", "text/plain"), refused},
			{header("Content-Type", "application/x-www-form-urlencoded"), refused},
			{header("Content-Type", "multipart/form-data; boundary=x"), refused},
			{header("Content-Type", "application/json; charset=utf-16"), refused},
			{header("Content-Type", "application/json; charset=iso-8859-1"), refused},
			{header("Content-Type", "application/json", "application/json"), refused},
			{header("Content-Type", "application/json, text/plain"), refused},
			{header("Content-Type", "application/problem+json"), refused},
			{header("Content-Encoding", "gzip"), encoded},
			{header("Content-Encoding", "identity, gzip"), encoded},
			{header("Content-Encoding", ""), encoded},
		} {
			rest := d.Send(t, m.WriteKey, "POST", "/api/customers", `{"email":null}`, c.change)
			graphql := d.Send(t, m.WriteKey, "POST", "/graphql", `{"query":"{merchant{name}}"}`, c.change)
			if c.want == accepted {
				require.Equal(t, answer{400, restEmailNeeded}, brief(rest))
				require.Equal(t, answer{200, `{"data":{"merchant":{"name":"Headers"}}}`}, brief(graphql))
				continue
			}
			want, text := restMediaType, "Content-Type must be application/json"
			if c.want == encoded {
				want, text = restEncoded, "Content-Encoding must be identity"
			}
			require.Equal(t, answer{415, want}, brief(rest))
			require.Equal(t, answer{415, `{"errors":[{"message":"` + text + `","extensions":{"code":"UNSUPPORTED_MEDIA_TYPE"}}]}`}, brief(graphql))
		}
	})
	t.Run("a body of at most 64 KiB, sized or chunked", func(t *testing.T) {
		t.Parallel()
		padded := func(size int, head string) string { return head + strings.Repeat("x", size-len(head)-2) + `"}` }
		chunked := func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(io.MultiReader(r.Body)), -1 }
		for _, change := range []func(*http.Request){func(*http.Request) {}, chunked} {
			require.Equal(t, answer{400, restEmailNeeded}, brief(d.Send(t, m.WriteKey, "POST", "/api/customers", padded(64<<10, `{"pad":"`), change)))
			require.Equal(t, answer{413, restTooLarge}, brief(d.Send(t, m.WriteKey, "POST", "/api/customers", padded(64<<10+1, `{"pad":"`), change)))
			require.Equal(t, 200, d.Send(t, m.WriteKey, "POST", "/graphql", padded(64<<10, `{"query":"{merchant{name}}","operationName":null,"extensions":{},"variables":{},"pad":"`), change).Status)
			require.Equal(t, answer{413, `{"errors":[{"message":"Request body too large","extensions":{"code":"PAYLOAD_TOO_LARGE"}}]}`},
				brief(d.Send(t, m.WriteKey, "POST", "/graphql", padded(64<<10+1, `{"query":"`), change)))
		}
		require.Equal(t, answer{413, restTooLarge}, brief(d.Send(t, m.WriteKey, "POST", "/api/customers", strings.Repeat("[", 5<<20))))
	})
	t.Run("a request id, which is kept if it is well-formed", func(t *testing.T) {
		t.Parallel()
		for _, id := range []string{"abc-123", "A.b_c-9", "a#b", "a/b", "Zm9v+w==", "|1.2#3:4~", strings.Repeat("x", 128)} {
			require.Equal(t, id, d.Send(t, m.WriteKey, "GET", "/api/nothing", "", header("X-Request-Id", id)).Header.Get("X-Request-Id"))
		}
		seen := map[string]bool{}
		for _, id := range []string{"", "a b", strings.Repeat("x", 129), "é", "<script>", "a;b", "a,b", "a%b"} {
			given := d.Send(t, m.WriteKey, "GET", "/api/customers", "", header("X-Request-Id", id)).Header.Values("X-Request-Id")
			require.Len(t, given, 1)
			require.Regexp(t, `^[A-Z2-7]{26}$`, given[0])
			require.False(t, seen[given[0]])
			seen[given[0]] = true
		}
	})
}

// TestListParameters checks the parameters of REST's list: pages, cursors, filters, and the refusal
// of invalid values.
func TestListParameters(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m, other := d.Merchant(t, "Lists"), d.Merchant(t, "Others")
	var newest []string // emails
	for i := range 7 {
		email := fmt.Sprintf("c%d@example.com", i)
		id := d.Create(t, m, fmt.Sprintf(`{"email":%q,"userId":"u%d"}`, email, i%2))
		d.Create(t, other, fmt.Sprintf(`{"email":%q,"userId":"u%d"}`, email, i%2))
		d.SQL(t, "UPDATE customers SET created_at = $1, updated_at = $1 WHERE id = $2", time.Date(2024, 1, 1+i/2, 0, 0, 0, 0, time.UTC), id) // in pairs
		newest = append([]string{email}, newest...)
	}
	type list struct {
		Customers  []struct{ ID, Email, MerchantID string }
		NextCursor *string
	}
	read := func(t *testing.T, query string) (list, []string, string) {
		t.Helper()
		r := d.Send(t, m.WriteKey, "GET", "/api/customers?"+query, "")
		require.Equal(t, 200, r.Status, r.Body)
		var l list
		require.NoError(t, json.Unmarshal([]byte(r.Body), &l))
		emails := []string{}
		for _, c := range l.Customers {
			require.Equal(t, m.ID, c.MerchantID)
			emails = append(emails, c.Email)
		}
		return l, emails, r.Body
	}

	t.Run("without parameters: the complete list without nextCursor", func(t *testing.T) {
		_, emails, body := read(t, "")
		require.ElementsMatch(t, newest, emails)
		require.NotContains(t, body, "nextCursor")
	})
	t.Run("pages together are the list", func(t *testing.T) {
		_, whole, _ := read(t, "")
		for limit := 1; limit <= 8; limit++ {
			var paged []string
			query := fmt.Sprintf("limit=%d", limit)
			for pages := 1; ; pages++ {
				l, emails, body := read(t, query)
				require.LessOrEqual(t, len(emails), limit)
				paged = append(paged, emails...)
				if l.NextCursor == nil {
					require.True(t, strings.HasSuffix(body, `],"nextCursor":null}`))
					require.Equal(t, max(1, (7+limit-1)/limit), pages)
					break
				}
				query = fmt.Sprintf("limit=%d&cursor=%s", limit, *l.NextCursor)
			}
			require.Equal(t, whole, paged)
		}
	})
	t.Run("a cursor works after its row was deleted", func(t *testing.T) {
		id := d.Create(t, m, `{"email":"gone@example.com"}`)
		l, _, _ := read(t, "limit=1")
		require.Equal(t, id, l.Customers[0].ID)
		require.Equal(t, 200, d.Send(t, m.WriteKey, "DELETE", "/api/customers/"+id, "").Status)
		_, rest, _ := read(t, "limit=250&cursor="+*l.NextCursor)
		require.ElementsMatch(t, newest, rest)
	})
	t.Run("filters combine", func(t *testing.T) {
		for query, want := range map[string][]string{
			"userId=u1":                                           {"c5@example.com", "c3@example.com", "c1@example.com"},
			"userId=u1&email=C3%40EXAMPLE.COM":                    {"c3@example.com"},
			"userId=u0&email=c3%40example.com":                    {},
			"userId=u1&limit=1&updatedSince=2024-01-01T00:00:00Z": {"c5@example.com"},
			"userId=u1&updatedSince=2024-01-02T01:00:00%2B01:00":  {"c5@example.com", "c3@example.com"},
			"userId=u1&updatedSince=2024-01-02T00:00:00.001Z":     {"c5@example.com"},
			"email=gone@example.com":                              {},
			"email=gone@example.com&includeDeleted=true":          {"gone@example.com"},
			"email=gone@example.com&includeDeleted=false&limit=1": {},
			"userId=U1": {},
			"userId=u1&nonsense=1&nonsense=2&limit2=0&x=%zz&%zz=1&a;b": {"c5@example.com", "c3@example.com", "c1@example.com"},
		} {
			_, emails, _ := read(t, query)
			require.Equal(t, want, emails, query)
		}
	})
	t.Run("invalid values are refused", func(t *testing.T) {
		foreign := d.Send(t, other.WriteKey, "GET", "/api/customers?limit=1", "")
		var l list
		require.NoError(t, json.Unmarshal([]byte(foreign.Body), &l))
		own, _, _ := read(t, "limit=1")
		damaged := []byte(*own.NextCursor)
		damaged[len(damaged)/2] ^= 1
		const badEncoding = " INVALID_FORMAT must be percent-encoded UTF-8"
		badYear := restInvalid("updatedSince INVALID_FORMAT must be in the years 1 to 9999")
		format := func(fields ...string) string {
			for i := range fields {
				fields[i] += " INVALID_FORMAT"
			}
			return restInvalid(fields...)
		}
		for query, want := range map[string]string{
			"limit=0": format("limit"), "limit=251": format("limit"), "limit=-1": format("limit"), "limit=": format("limit"), "limit=ten": format("limit"), "limit=1.5": format("limit"),
			"limit=99999999999999999999": format("limit"), "limit=1&limit=1": restInvalid("limit INVALID_FORMAT must be given once"), "limit=%zz": restInvalid("limit" + badEncoding), "limit=1;limit=2": format("limit"), "limit=%D9%A1": format("limit"),
			"cursor=" + *own.NextCursor: restInvalid("cursor INVALID_FORMAT must be given with limit"), "limit=1&cursor=": format("cursor"), "limit=1&cursor=x": format("cursor"), "limit=1&cursor=" + *l.NextCursor: format("cursor"),
			"limit=1&cursor=" + string(damaged): format("cursor"), "limit=1&cursor=" + *own.NextCursor + "A": format("cursor"), "limit=1&cursor=" + *own.NextCursor + "=": format("cursor"),
			"limit=1&cursor=a&cursor=a": restInvalid("cursor INVALID_FORMAT must be given once"), "limit=1&cursor=" + strings.Repeat("A", 8000): format("cursor"),
			"updatedSince=yesterday": format("updatedSince"), "updatedSince=2024-01-01": format("updatedSince"), "updatedSince=": format("updatedSince"),
			"updatedSince=2024-01-01T00:00:00++01:00": format("updatedSince"), "updatedSince=0000-01-01T00:00:00Z": badYear, "limit=1&updatedSince=0000-01-01T00:00:00Z": badYear,
			"updatedSince=9999-12-31T23:59:59-01:00": badYear, "updatedSince=2024-01-01T00:00:00%2001:00": format("updatedSince"),
			"includeDeleted=": format("includeDeleted"), "includeDeleted=1": format("includeDeleted"), "includeDeleted=TRUE": format("includeDeleted"),
			"includeDeleted=true&includeDeleted=true": restInvalid("includeDeleted INVALID_FORMAT must be given once"), "includeDeleted=+true": format("includeDeleted"), "limit=+5": format("limit"),
			"email=a+b": format("email"), "email=a%20b@example.com": format("email"), "email=a+b%20c@example.com": format("email"),
			"email=a+b@example.com&limit=0": format("limit"), "email=a+b@example.com&updatedSince=x+y": format("updatedSince"),
			"email=": format("email"), "email=nobody": format("email"), "email=a@b.io&email=a@b.io": restInvalid("email INVALID_FORMAT must be given once"), "email=%FF@b.io": restInvalid("email" + badEncoding), "email=a+b@x.io&email=a+b@x.io": restInvalid("email INVALID_FORMAT must be given once"),
			"userId=": format("userId"), "userId=%00": restInvalid("userId FORBIDDEN_CHARACTER"), "userId=" + strings.Repeat("x", 256): restInvalid("userId TOO_LONG"), "userId=%C3%28": restInvalid("userId" + badEncoding),
			"includeDeleted=x&updatedSince=x&userId=&email=nobody&cursor=x&limit=0": format("limit", "cursor", "email", "userId", "updatedSince", "includeDeleted"),
			"Page=2&limit=0&EMAIL=x": restInvalid("limit INVALID_FORMAT", "EMAIL INVALID_FORMAT is not a parameter of this list: use email",
				"Page INVALID_FORMAT is not a parameter of this list: use limit and cursor"),
			"limit=%2B5": format("limit"), "limit=05": format("limit"),
			"updatedSince=2026-01-01T1:00:00Z": format("updatedSince"), "updatedSince=2026-01-01T01:00:00,5Z": format("updatedSince"),
		} {
			r := d.Send(t, m.WriteKey, "GET", "/api/customers?"+query, "")
			require.Equal(t, answer{400, want}, brief(r), query)
			require.Equal(t, answer{400, ""}, brief(d.Send(t, m.WriteKey, "HEAD", "/api/customers?"+query, "")), query)
		}
	})
}
