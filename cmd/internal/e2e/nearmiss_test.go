package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// TestPlusInQueries checks that an unescaped + in a query means a plus sign in parameters that
// cannot hold a space, such as email and updatedSince, and a space in userId.
func TestPlusInQueries(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Pluses")
	for _, body := range []string{`{"email":"a+b@example.com","userId":"x+y"}`, `{"email":"ab@example.com","userId":"x y"}`} {
		d.Create(t, m, body)
	}
	for query, want := range map[string]string{
		"email=a+b@example.com": "a+b@example.com", "email=a+b%40example.com&limit=1": "a+b@example.com", "email=a%2Bb@example.com": "a+b@example.com",
		"email=A+B@example.com&updatedSince=2024-01-01T00:00:00+02:00": "a+b@example.com", "email=+ab@example.com+": "ab@example.com",
		"userId=x+y": "ab@example.com", "userId=x%2By": "a+b@example.com", // a user id may hold a space
		"userId=x+y&updatedSince=2024-01-02T01:00:00+01:00": "ab@example.com",
	} {
		r := d.Send(t, m.WriteKey, "GET", "/api/customers?"+query, "")
		require.Equal(t, 200, r.Status, r.Body)
		require.Contains(t, r.Body, `"email":"`+want+`"`, query)
		require.Equal(t, 1, strings.Count(r.Body, `"email"`), query)
	}
}

// TestMisspelledParametersAreRefused checks that a parameter whose name resembles a known one is
// refused with the right name. Ignoring it would return a list without the intended filter. Other
// unknown parameters are ignored.
func TestMisspelledParametersAreRefused(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Misses")
	const cursor, paging, search = "cursor", "limit and cursor", "email or userId"
	for name, right := range map[string]string{
		"Limit": "limit", "LIMIT": "limit", "li_mit": "limit", "limit[]": "limit", "limit.": "limit", "-limit": "limit", "Cursor": cursor, "cursor[]": cursor, "next-cursor": "",
		"Email": "email", "e-mail": "email", "E_Mail": "email", "email[]": "email", "userid": "userId", "user_id": "userId", "user-id": "userId", "user.id": "userId", "user[id]": "userId", "USERID": "userId",
		"updated_since": "updatedSince", "updatedsince": "updatedSince", "updated-since": "updatedSince", "UpdatedSince": "updatedSince", "include_deleted": "includeDeleted", "includedeleted": "includeDeleted", "include[deleted]": "includeDeleted",
		"q": search, "Q": search, "query": search, "search": search, "page": paging, "Page": paging, "offset": paging, "skip": paging, "perPage": "limit", "per_page": "limit", "perpage": "limit",
		"pageSize": "limit", "page_size": "limit", "page[size]": "limit", "first": "limit", "after": cursor, "startingAfter": cursor, "starting_after": cursor, "endingBefore": cursor, "ending_before": cursor, "since": "updatedSince",
		"limits": "", "mail": "", "user": "", "last": "", "before": "", "sort": "", "fields": "", "page[number]": "", "limit ": "", "filter[email]": "", "l%C4%B1mit": "",
	} {
		for _, value := range []string{"2", "x", "%zz", "00"} {
			r := d.Send(t, m.WriteKey, "GET", "/api/customers?"+strings.ReplaceAll(name, " ", "%20")+"="+value+"&userId=none", "")
			if right == "" {
				require.Equal(t, answer{200, `{"customers":[]}`}, brief(r), name)
				continue
			}
			require.Equal(t, answer{400, restInvalid(name + " INVALID_FORMAT is not a parameter of this list: use " + right)}, brief(r), name)
		}
	}
	for _, query := range []string{
		"page=0", "page=1", "Page=1", "offset=0", "skip=0", "limit_=", "Email=", "q=", "page=&page=1", "offset", "page=1&page=0", "USER_ID=&userid=",
	} {
		require.Equal(t, answer{200, `{"customers":[]}`}, brief(d.Send(t, m.WriteKey, "GET", "/api/customers?userId=none&"+query, "")), query)
	}
	for query, want := range map[string]string{
		"offset=1":                                restInvalid("offset INVALID_FORMAT is not a parameter of this list: use limit and cursor"),
		"page=1&page=2":                           restInvalid("page INVALID_FORMAT is not a parameter of this list: use limit and cursor"),
		"limit=0&Limit=5&LIMIT=5&li-mit=5":        restInvalid("limit INVALID_FORMAT", "LIMIT INVALID_FORMAT is not a parameter of this list: use limit"),
		"L" + strings.Repeat("_", 100) + "imit=1": restInvalid("L" + strings.Repeat("_", 63) + "... INVALID_FORMAT is not a parameter of this list: use limit"),
	} {
		require.Equal(t, answer{400, want}, brief(d.Send(t, m.WriteKey, "GET", "/api/customers?"+query, "")), query)
	}
	require.Equal(t, 200, d.Send(t, m.WriteKey, "POST", "/graphql?first=1&Limit=2", `{"query":"{merchant{id}}"}`).Status, "a route without parameters")
}
