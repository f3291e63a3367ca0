package graph

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"lumen/graph/guard"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/storetest"
)

// newTestHandler returns the handler over an empty database. Every request has write access to the
// merchant merchant_1.
func newTestHandler(t testing.TB, change ...func(*Options)) http.Handler {
	db := storetest.FakeDB(t)
	options := Options{
		Introspection: true, Limits: guard.DefaultLimits, Log: slog.New(slog.DiscardHandler),
		RequestID: func(context.Context) string { return "request" },
	}
	for _, c := range change {
		c(&options)
	}
	merchant := store.Merchant{ID: "merchant_1", Name: "One"}
	return NewHandler(store.New(db, store.Options{}), new(auth.Tokens), func(r *http.Request) (context.Context, error) {
		return store.WithCredential(r.Context(), store.Credential{Access: store.WriteAccess, Merchant: merchant}), nil
	}, options)
}

// post sends a body to a handler.
func post(handler http.Handler, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// answered is a decoded reply.
type answered struct {
	Data   json.RawMessage
	Errors []struct {
		Message    string
		Extensions struct{ Code string }
	}
	Extensions struct {
		Cost *struct{ Requested, Limit int }
	}
}

func decode(t testing.TB, w *httptest.ResponseRecorder) (reply answered) {
	t.Helper()
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &reply), w.Body)
	return reply
}

func bodyOf(t testing.TB, query string, variables string) string {
	t.Helper()
	text, err := json.Marshal(query)
	require.NoError(t, err)
	if variables == "" {
		variables = "null"
	}
	return `{"query":` + string(text) + `,"variables":` + variables + `}`
}

// TestPanics checks that a panic is INTERNAL to the client and that its cause appears only in the
// log.
func TestPanics(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	options := Options{
		Limits: guard.DefaultLimits, Log: slog.New(slog.NewTextHandler(&log, nil)), RequestID: func(context.Context) string { return "request-7" },
	}
	const shown = `{"message":"Internal server error"`
	for name, c := range map[string]struct {
		authenticate Authenticate
		status       int
	}{
		"in a resolver": {func(r *http.Request) (context.Context, error) {
			return store.WithCredential(r.Context(), store.Credential{Merchant: store.Merchant{ID: "merchant_1"}}), nil
		}, 200},
		"before the operation": {func(*http.Request) (context.Context, error) { panic("secret cause") }, 500},
	} {
		log.Reset()
		w := post(NewHandler(store.New(bun.NewDB(nil, pgdialect.New()), store.Options{}), nil, c.authenticate, options), bodyOf(t, `{customer(id:"cust_1"){id}}`, ""))
		require.Equal(t, c.status, w.Code, name)
		require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"), name)
		require.Contains(t, w.Body.String(), shown, name)
		require.Contains(t, w.Body.String(), `"extensions":{"code":"INTERNAL","requestId":"request-7"}`, name)
		for _, text := range []string{"secret cause", "goroutine", "nil pointer", ".go:"} {
			require.NotContains(t, w.Body.String(), text, name)
		}
		require.Contains(t, log.String(), "handler_test.go", name)
	}
}

// TestCharge checks that an operation is charged once, for its cost, and only if nothing else
// refuses it. An operation that Charge refuses is not executed.
func TestCharge(t *testing.T) {
	t.Parallel()
	var charged []int
	var refusal error
	handler := newTestHandler(t, func(o *Options) {
		o.Limits.Cost = 1000
		o.Charge = func(ctx context.Context, cost int) error {
			_, ok := store.CredentialFrom(ctx)
			require.True(t, ok)
			charged = append(charged, cost)
			return refusal
		}
	})
	for query, want := range map[string][]int{
		`{merchant{id}}`: {2}, `{a:merchant{id} b:merchant{id name}}`: {5}, `{customer(id:"bad"){id}}`: {16},
		`{`: nil, `{nope}`: nil, `{customers(first:250){nodes{id} totalCount}}`: nil, `query A{merchant{id}} query B{merchant{id}}`: nil,
		`query($x:Boolean!){merchant{id @skip(if:$x)}}`: nil,
	} {
		charged = nil
		w := post(handler, bodyOf(t, query, ""))
		require.Equal(t, want, charged, "%s: %s", query, w.Body)
		require.Equal(t, want != nil, strings.Contains(w.Body.String(), `"data"`), query)
	}
	for wait, want := range map[time.Duration]string{0: "1", time.Nanosecond: "1", time.Second: "1", time.Second + 1: "2", 90*time.Second - 1: "90"} {
		limited := store.NewError(store.RateLimited)
		limited.RetryAfter = wait
		refusal = limited
		w := post(handler, bodyOf(t, `{merchant{id}}`, ""))
		require.Equal(t, http.StatusTooManyRequests, w.Code)
		require.Equal(t, want, w.Header().Get("Retry-After"))
		require.Equal(t, `{"errors":[{"message":"Too many requests","extensions":{"code":"RATE_LIMITED"}}]}`, w.Body.String())
	}
}

// TestOutageOfManyFields checks that an outage is a 503 with one error, no matter how many fields
// fail.
func TestOutageOfManyFields(t *testing.T) {
	t.Parallel()
	db := bun.NewDB(sql.OpenDB(gone{}), pgdialect.New())
	t.Cleanup(func() { _ = db.Close() })
	customers := store.New(db, store.Options{})
	handler := NewHandler(customers, nil, func(r *http.Request) (context.Context, error) {
		return store.WithCredential(r.Context(), store.Credential{Merchant: store.Merchant{ID: "merchant_1"}}), nil
	}, Options{Limits: guard.DefaultLimits, Log: slog.New(slog.DiscardHandler), RequestID: func(context.Context) string { return "" }})
	w := post(handler, bodyOf(t, `{a:customers{nodes{id}} b:customers{nodes{id}} c:customers{nodes{id}} d:customers{nodes{id}} e:customers{nodes{id}} f:customers{nodes{id}}
		g:customers{nodes{id}} h:customers{nodes{id}} i:customers{nodes{id}} j:customers{nodes{id}} k:customers{nodes{id}} l:customers{nodes{id}}}`, ""))
	require.Equal(t, http.StatusServiceUnavailable, w.Code, w.Body)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.JSONEq(t, `[{"message":"Service temporarily unavailable","path":["a"],"extensions":{"code":"UNAVAILABLE","requestId":"","count":12}}]`,
		string(decodeErrors(t, w)))

	// A reply with some data is a 200, but also has Retry-After.
	w = post(handler, bodyOf(t, `{merchant{id} customer(id:"cust_a"){id}}`, ""))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	w = post(handler, bodyOf(t, `{merchant{id} customer(id:"bad"){id}}`, ""))
	require.Empty(t, w.Header().Get("Retry-After"), w.Body)
}

// gone is a database that refuses connections.
type gone struct{ storetest.FakeDriver }

func (gone) Connect(context.Context) (driver.Conn, error) { return nil, io.ErrUnexpectedEOF }

// TestNullConditions checks that null for @skip or @include is refused before anything is executed.
// Validation accepts it if the variable has a default value.
func TestNullConditions(t *testing.T) {
	t.Parallel()
	for _, introspection := range []bool{false, true} {
		handler := newTestHandler(t, func(o *Options) { o.Introspection = introspection })
		for _, query := range []string{
			`query Q($x:Boolean=true){merchant @include(if:$x){id}}`, `query Q($x:Boolean=true){merchant{id @skip(if:$x)}}`, `query Q($x:Boolean=false){...F} fragment F on Query{...@skip(if:$x){merchant{id}}}`,
			`mutation Q($x:Boolean=true){createCustomer(input:{email:"a@b.io"}){customer{id @include(if:$x)}}}`,
		} {
			w := post(handler, bodyOf(t, query, `{"x":null}`))
			require.JSONEq(t, `{"errors":[{"message":"variable \"x\" must not be null","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`, w.Body.String(), query)
			for _, variables := range []string{``, `{}`, `{"x":true}`, `{"x":false}`} {
				require.Empty(t, decode(t, post(handler, bodyOf(t, query, variables))).Errors, query+variables)
			}
		}
		// Null is accepted in other places.
		require.Empty(t, decode(t, post(handler, bodyOf(t, `query($n:Int=5,$x:Boolean=true){customers(first:$n){nodes{id @include(if:$x)}}}`, `{"n":null}`))).Errors)
	}
}

// TestRefusalsRepeatNoValues checks that a refusal repeats nothing that the client sent, except
// names, which are cut.
func TestRefusalsRepeatNoValues(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t)
	const secret = "SECRET word"
	for _, body := range []string{
		`{"query":"query A{merchant{id}} query B{merchant{id}}","operationName":"` + secret + `"}`, `{"query":"{merchant{id}}","operationName":"` + strings.Repeat(secret, 50) + `"}`,
		bodyOf(t, `query($x:ID!){customer(id:$x){id}}`, `{"x":12345678901234567890}`), bodyOf(t, `query($x:ID!){customer(id:$x){id}}`, `{"x":1.5}`), bodyOf(t, `query($x:ID!){customer(id:$x){id}}`, `{"x":["`+secret+`"]}`),
		bodyOf(t, `query($x:CustomerFilter){customers(filter:$x){nodes{id}}}`, `{"x":{"`+secret+`":1}}`), bodyOf(t, `query($x:CustomerFilter){customers(filter:$x){nodes{id}}}`, `{"x":{"createdAt":{"`+secret+`":1}}}`),
		bodyOf(t, `query($x:CustomerSort){customers(sort:$x){nodes{id}}}`, `{"x":{"field":"`+secret+`","direction":"ASC"}}`),
		bodyOf(t, `{customers(sort:{field:`+strings.Repeat("SECRET", 9000)+`,direction:ASC}){nodes{id}}}`, ``),
	} {
		reply := decode(t, post(handler, body))
		require.Equal(t, "GRAPHQL_VALIDATION_FAILED", reply.Errors[0].Extensions.Code, body)
		text := post(handler, body).Body.String()
		for _, word := range []string{"SECRET", "12345678", "1.2345", "e+19", "float64", "slice", "UseNumber"} {
			require.NotContains(t, text, word, body)
		}
	}
}

func TestAccepts(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]string{
		"": jsonType, "*/*": jsonType, jsonType: jsonType, "text/html": jsonType, "application/*": jsonType,
		responseType: responseType, responseType + ", " + jsonType + ";q=0.9": responseType, jsonType + ", " + responseType: responseType,
		responseType + ";charset=utf-8": responseType, responseType + ", */*": responseType, "Application/GraphQL-Response+JSON": responseType,
		responseType + ";q=0.5, " + jsonType: jsonType, responseType + ";q=0": jsonType, responseType + ";q=0, */*": jsonType,
		"application/graphql-response+jsonx": jsonType, "x" + responseType: jsonType, responseType + ";q=x": responseType, ",,;": jsonType,
	} {
		require.Equal(t, want, accepts(http.Header{"Accept": {accept}}), accept)
	}
	require.Equal(t, responseType, accepts(http.Header{"Accept": {jsonType + ";q=0.1", responseType}}))
}

// FuzzRequest checks that no body makes the handler panic or fail. Every reply is JSON of at most 1
// MiB, and its errors have codes of the registry other than INTERNAL.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][2]string{
		{`{merchant{id name}}`, ``},
		{`query Q($i:ID!,$n:Int=5){customer(id:$i){id ...C} node(id:$i){...on Merchant{name}} customers(first:$n,filter:{search:"ab"}){totalCount edges{cursor node{...C}}}} fragment C on Customer{email @include(if:true)}`, `{"i":"cust_1","n":3}`},
		{`mutation($c:CreateCustomerInput!){a:createCustomer(input:$c){customer{id} userErrors{code field message reason}} deleteCustomer(id:"x"){deletedCustomerId}}`, `{"c":{"email":"a@b.io","name":null}}`},
		{`mutation{updateCustomer(id:"cust_1",input:{name:"x",email:null}){userErrors{code}}}`, ``},
		{`mutation{createAccessToken(input:{access:WRITE,customerId:"cust_1",expiresIn:5}){accessToken{token expiresAt} userErrors{field}}}`, ``}, {`{nodes(ids:["cust_1",5]){id __typename}}`, ``}, {`{customers(last:251,before:"x",sort:{field:NAME,direction:ASC}){pageInfo{hasNextPage}}}`, ``},
		{`{__schema{types{name fields{name args{name type{ofType{name}}}}}}}`, ``}, {`{__type(name:"Customer"){fields{type{fields{name}}}}}`, ``},
		{`{...A} fragment A on Query{...B ...B} fragment B on Query{...A}`, ``}, {`{a:customers(first:99999999999999999999){totalCount}}`, ``}, {`{customer(id:99999999999999999999){id}}`, ``},
		{`{nodes(ids:[[["x"]]]){id}}`, ``}, {`query($f:CustomerFilter){customers(filter:$f){totalCount}}`, `{"f":{"createdAt":{"from":"2024-01-01T00:00:00Z"}}}`}, {`subscription{merchant{id}}`, ``}, {`{`, ``}, {`{merchant{id @skip(if:$x)}}`, ``},
	} {
		f.Add([]byte(bodyOf(f, seed[0], seed[1])))
	}
	f.Add([]byte(`{"documentId":"sha256:00","variables":{}}`))
	f.Add([]byte(`{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"00"}}}`))
	handler := newTestHandler(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		w := post(handler, string(body))
		require.Less(t, w.Code, 500)
		require.LessOrEqual(t, w.Body.Len(), 1<<20)
		reply := decode(t, w)
		require.True(t, len(reply.Errors) > 0 || len(reply.Data) > 0)
		for _, e := range reply.Errors {
			require.Contains(t, []string{
				"BAD_REQUEST", "PAYLOAD_TOO_LARGE", "INVALID_ID", "INVALID_INPUT", "FORBIDDEN", "NOT_FOUND",
				"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "LIMIT_EXCEEDED", "DOCUMENT_NOT_TRUSTED", "PERSISTED_QUERY_NOT_SUPPORTED", "TOKENS_NOT_CONFIGURED",
			}, e.Extensions.Code, "%s", w.Body)
			require.LessOrEqual(t, len([]rune(e.Message)), maxMessage)
		}
		require.LessOrEqual(t, len(reply.Errors), guard.DefaultLimits.Errors)
		if reply.Extensions.Cost != nil && bytes.Contains(w.Body.Bytes(), []byte(`"data"`)) {
			require.LessOrEqual(t, reply.Extensions.Cost.Requested, reply.Extensions.Cost.Limit)
		}
	})
}
