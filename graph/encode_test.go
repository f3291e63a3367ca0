package graph

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"pgregory.net/rapid"

	"lumen/graph/encode"
	"lumen/graph/generated"
	"lumen/graph/guard"
	"lumen/graph/model"
	"lumen/store"
	"lumen/store/storetest"
	"lumen/store/wall"
)

// shelf is a database in which every statement finds the same three customers, except a statement
// that looks for "nobody": it finds none.
type shelf struct{ storetest.FakeDriver }

// kindsOfColumns has a letter for each column of a customer: t for text, z for a time, b for a
// Boolean. The last column says whether a page has rows before it.
const kindsOfColumns = "tttttttttttzzzbttb"

// hostile is a text with all characters that JSON escapes, with characters that only some JSON
// writers escape, and with characters of each length in UTF-8.
var hostile = func() string {
	var all strings.Builder
	for r := range rune(0x80) {
		all.WriteRune(r)
	}
	return all.String() + "\"\\\\\" </script>&amp; \u0080\u009f\u00e9\u2028\u2029\ufeff\uffff\ufffd 👩‍👩‍👧 \U00010000\U0010ffff"
}()

var shelved = func() [][]any {
	micro := time.Date(2024, 2, 29, 23, 59, 59, 999_999_000, time.UTC)
	full := []any{"cust_1", "One@example.com", "One", "u1", "Line 1", "Line 2", "City", "12345", "DE", "T1", "merchant_1", micro, micro, nil, false, "one", "one", true}
	bare := []any{"cust_2", "two@example.com", nil, nil, nil, nil, nil, nil, nil, nil, "merchant_1", time.Unix(0, 0), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), nil, true, "two", nil, true}
	odd := []any{"cust_3", hostile, hostile, hostile, hostile, hostile, "", "\b\f", "\x1f\x7f", hostile, "merchant_1", time.Date(9999, 12, 31, 23, 59, 59, 1000, time.UTC), micro, time.Date(1969, 12, 31, 23, 59, 59, 500_000, time.UTC), true, "three", "three", true}
	return [][]any{full, bare, odd}
}()

func (shelf) Connect(context.Context) (driver.Conn, error) { return shelf{}, nil }
func (shelf) Query(ctx context.Context, statement string, args []any, each func(*wall.Row)) error {
	if strings.Contains(statement, "count(*)") {
		return storetest.FakeDriver{}.Query(ctx, statement, args, each)
	}
	if strings.Contains(statement, "nobody") {
		return nil
	}
	for _, customer := range shelved {
		var fields []pgconn.FieldDescription
		var values [][]byte
		for i, kind := range kindsOfColumns {
			fields = append(fields, pgconn.FieldDescription{DataTypeOID: map[rune]uint32{'t': pgtype.TextOID, 'z': pgtype.TimestamptzOID, 'b': pgtype.BoolOID}[kind]})
			var value []byte
			switch v := customer[i].(type) {
			case string:
				value = []byte(v)
			case bool:
				value = []byte{map[bool]byte{true: 1}[v]}
			case time.Time:
				value = binary.BigEndian.AppendUint64(nil, uint64(v.UnixMicro()-time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()))
			}
			values = append(values, value)
		}
		each(wall.NewRow(fields, values))
	}
	return nil
}

// handlerPair holds the handler with the encoder and the one without, over the same customers and
// with limits that admit every document of the tests.
type handlerPair struct{ encoder, executor http.Handler }

func newHandlerPair(t testing.TB) handlerPair {
	db := bun.NewDB(sql.OpenDB(shelf{}), pgdialect.New())
	t.Cleanup(func() { _ = db.Close() })
	customers := store.New(db, store.Options{})
	authenticate := func(r *http.Request) (context.Context, error) {
		return store.WithCredential(r.Context(), store.Credential{Access: store.WriteAccess, Merchant: store.Merchant{ID: "merchant_1", Name: "One"}}), nil
	}
	wide := guard.DefaultLimits
	wide.Body, wide.Tokens, wide.Depth, wide.Fields, wide.Aliases, wide.Directives, wide.Cost = 1<<20, 100_000, 1000, 100_000, 10_000, 10_000, 1<<30
	options := Options{Limits: wide, Log: slog.New(slog.DiscardHandler), RequestID: func(context.Context) string { return "request" }}
	return handlerPair{NewHandler(customers, nil, authenticate, options), newServer(customers, nil, authenticate, options)}
}

// sameReply returns a reply, which must be the same from both handlers. It compares bytes, and so
// the order of fields and the absence of duplicate keys. Before that it writes each text in the
// same spelling, because gqlgen escapes U+0008 and U+000C by their numbers.
func (d handlerPair) sameReply(t require.TestingT, body string) string {
	reply, wanted := post(d.encoder, body), post(d.executor, body)
	require.Equal(t, http.StatusOK, reply.Code, reply.Body)
	require.Equal(t, http.StatusOK, wanted.Code, wanted.Body)
	require.Equal(t, respelled(t, wanted.Body.Bytes()), respelled(t, reply.Body.Bytes()), body)
	return reply.Body.String()
}

func respelled(t require.TestingT, text []byte) string {
	value := jsontext.Value(slices.Clone(text))
	require.NoError(t, value.Format(jsontext.PreserveRawStrings(false)), "%s", text)
	return string(value)
}

const conditional = `query($t:Boolean=true,$f:Boolean=false){merchant @include(if:$t) @skip(if:$f){id}`

// TestEncoderMatchesExecutor checks that the encoder writes the same bytes as the executor.
func TestEncoderMatchesExecutor(t *testing.T) {
	t.Parallel()
	handlers := newHandlerPair(t)
	for name, query := range map[string]string{
		"all fields":                      `{customers{edges{cursor node` + all + `} nodes` + all + ` pageInfo{hasNextPage hasPreviousPage startCursor endCursor} totalCount}}`,
		"another order of fields":         `{customer(id:"cust_1"){emailShared deletedAt id __typename billingCity}}`,
		"aliases":                         `{customer(id:"cust_1"){id:email email:id a:name b:name _:taxId __x:createdAt}}`,
		"a field twice":                   `{customer(id:"cust_1"){id name id a:name name a:name}}`,
		"a field that is merged":          `{customers{edges{node{id} cursor node{name id} n:node{id} node{...on Node{id}} n:node{email}} edges{node{taxId}}} customers{edges{x:cursor}}}`,
		"fragments":                       `{customer(id:"cust_3"){...A ...B ...A}} fragment A on Customer{id ...B} fragment B on Customer{name taxId id ...C} fragment C on Node{id __typename}`,
		"inline fragments":                `{customer(id:"cust_3"){...{email} ...on Customer{name ...on Node{id ...on Customer{taxId ...{createdAt name}}}} id}}`,
		"fragments of edges and pages":    `{customers{...P}} fragment P on CustomerConnection{edges{...E ...on CustomerEdge{cursor}} nodes{...C}} fragment E on CustomerEdge{node{...C} __typename} fragment C on Customer{id name}`,
		"fields of Node and of Customer":  `{node(id:"cust_1"){id ...on Customer{id name} ...on Node{id} x:id ...on Customer{x:id}}}`,
		"__typename":                      `{__typename customers{__typename edges{__typename node{__typename t:__typename}} nodes{__typename}} node(id:"cust_1"){__typename} nodes(ids:["cust_1"]){__typename ...on Customer{__typename}}}`,
		"edges with several nodes":        `{customers{edges{a:node{id} b:node{name} c:node` + all + ` x:cursor cursor y:cursor}}}`,
		"by id":                           `{customer(id:"cust_2")` + all + ` node(id:"cust_3"){...on Customer` + all + ` ...on Merchant{id}} a:customer(id:"cust_1"){id} b:customer(id:"cust_404"){id} c:node(id:"cust_404"){id} d:node(id:"merchant_1"){id ...on Merchant{name}}}`,
		"nodes":                           `{nodes(ids:["cust_1","cust_404","merchant_1","merchant_2","nonsense","cust_3","cust_1"]){__typename id ...on Customer{email} ...on Merchant{name}} none:nodes(ids:[]){id}}`,
		"an empty page":                   `{customers(filter:{userId:"nobody"}){edges{cursor node{id}} nodes{id} pageInfo{hasNextPage startCursor}}}`,
		"a short page":                    `{customers(first:1){edges{node{id}} nodes{id}} last:customers(last:2){edges{cursor node{id}} nodes{id}}}`,
		"a payload's customer":            `mutation{createCustomer(input:{email:"a@b.io"}){customer` + all + ` userErrors{code}} updateCustomer(id:"cust_1",input:{name:"x"}){customer{i:id ...on Customer{name}} userErrors{code}} deleteCustomer(id:"cust_1"){deletedCustomerId}}`,
		"a payload without a customer":    `mutation{createCustomer(input:{email:"nonsense"}){customer` + all + ` userErrors{code field message reason}}}`,
		"conditions on fields":            conditional + ` customers{edges @include(if:$t){cursor @skip(if:$t) node @skip(if:$f){id @include(if:$f) name @include(if:$t) @skip(if:$f) email @include(if:$t) @skip(if:$t) taxId @skip(if:true) userId @skip(if:false)}} nodes @include(if:$f){id}}}`,
		"conditions on fragments":         conditional + ` customer(id:"cust_1"){...A @skip(if:$t) ...B @include(if:$t) ...on Customer @include(if:$f){taxId} ...@skip(if:$f){userId}} customers{edges{...@skip(if:$t){cursor} node{id}}}} fragment A on Customer{name} fragment B on Customer{email ...A @include(if:$f)}`,
		"selections that are all skipped": conditional + ` customer(id:"cust_1"){id @skip(if:$t)} customers{edges{cursor @include(if:$f)} nodes{...on Customer @skip(if:true){id}} other:edges{node{id @skip(if:$t)}}}}`,
		"a field with and without @skip":  conditional + ` customer(id:"cust_1"){id @skip(if:$t) name id}}`,
	} {
		for _, variables := range []string{`{}`, `{"t":false}`, `{"f":true}`, `{"t":false,"f":true}`} {
			if !strings.HasPrefix(query, conditional) && variables != `{}` {
				continue
			}
			require.NotContains(t, handlers.sameReply(t, bodyOf(t, query, variables)), `"errors"`, name)
		}
	}
	// A field that fails does not change its neighbors.
	require.Contains(t, handlers.sameReply(t, bodyOf(t, `{customer(id:"cust_1"){id} customers(first:0){nodes{id}}}`, ``)), `"errors"`)
	require.Contains(t, handlers.sameReply(t, bodyOf(t, `{bad:customer(id:"x"){id} customer(id:"cust_1"){id}}`, ``)), `{"bad":null,"customer":{"id":"cust_1"}}`)

	// The handlers really differ, and the text that they write is the stored text.
	const query = `{customer(id:"cust_3"){email billingPostalCode createdAt}}`
	require.Contains(t, post(handlers.encoder, bodyOf(t, query, ``)).Body.String(), `"\b\f"`)
	require.Contains(t, post(handlers.executor, bodyOf(t, query, ``)).Body.String(), `"\u0008\u000C"`)
	var data struct {
		Customer struct{ Email, CreatedAt string }
	}
	require.NoError(t, json.Unmarshal(decode(t, post(handlers.encoder, bodyOf(t, query, ``))).Data, &data))
	require.Equal(t, hostile, data.Customer.Email)
	require.Equal(t, "9999-12-31T23:59:59.000Z", data.Customer.CreatedAt)
}

// TestEncoderMatchesExecutorOnRandomSelections checks random selections.
func TestEncoderMatchesExecutorOnRandomSelections(t *testing.T) {
	t.Parallel()
	handlers := newHandlerPair(t)
	rapid.Check(t, func(r *rapid.T) {
		s := &selections{t: r}
		query := conditional + " customers" + s.of("CustomerConnection", 4) + ` customer(id:"cust_2")` + s.of("Customer", 4) + ` node(id:"cust_3")` + s.of("Node", 4) + "}" + s.fragments
		variables := fmt.Sprintf(`{"t":%t,"f":%t}`, rapid.Bool().Draw(r, "t"), rapid.Bool().Draw(r, "f"))
		if reply := handlers.sameReply(r, bodyOf(t, query, variables)); strings.Contains(reply, `"errors"`) {
			r.Fatalf("%s\n%s", reply, query)
		}
	})
}

// selections draws selections. An alias contains the name of its field, so fields with the same
// alias can be merged.
type selections struct {
	t         *rapid.T
	fragments string              // the definitions of all fragments
	named     map[string][]string // the names of the fragments by type
}

// selectable holds the fields that selections draws, by type and field: "" for a leaf, else the
// type of the selection in the field.
var selectable = func() map[string]map[string]string {
	schema := generated.NewExecutableSchema(generated.Config{}).Schema()
	types := make(map[string]map[string]string)
	for _, name := range []string{"CustomerConnection", "CustomerEdge", "Customer", "Node", "PageInfo"} {
		types[name] = map[string]string{"__typename": ""}
		for _, field := range schema.Types[name].Fields {
			if len(field.Arguments) > 0 {
				continue // has a resolver; TestFieldsWithoutColumnGoToExecutor
			}
			types[name][field.Name] = ""
			if schema.Types[field.Type.Name()].IsCompositeType() {
				types[name][field.Name] = field.Type.Name()
			}
		}
	}
	return types
}()

func (s *selections) draw(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(s.t, label)
}

func (s *selections) of(owner string, depth int) string {
	text := "{"
	for range rapid.IntRange(1, 5).Draw(s.t, "length") {
		kind := "field"
		if depth > 0 {
			kind = s.draw("kind", "field", "field", "field", "inline", "new fragment", "known fragment")
		}
		condition := s.draw("condition", "", "", "", " @skip(if:$t)", " @skip(if:$f)", " @include(if:$t)", " @include(if:$f)", " @include(if:$t)@skip(if:$f)", " @skip(if:false)")
		inner := owner
		if owner == "Customer" || owner == "Node" {
			inner = s.draw("condition of type", "Customer", "Node")
		}
		if known := s.named[inner]; kind == "known fragment" && len(known) > 0 {
			text += "..." + s.draw("name", known...) + condition + " "
			continue
		}
		switch kind {
		case "inline":
			if inner == owner && rapid.Bool().Draw(s.t, "without type") {
				text += "..." + condition + s.of(owner, depth-1) + " "
			} else {
				text += "...on " + inner + condition + s.of(inner, depth-1) + " "
			}
		case "new fragment":
			definition := s.of(inner, depth-1)
			name := fmt.Sprintf("F%d", strings.Count(s.fragments, "fragment "))
			s.fragments += " fragment " + name + " on " + inner + definition
			if s.named == nil {
				s.named = make(map[string][]string)
			}
			s.named[inner] = append(s.named[inner], name)
			text += "..." + name + condition + " "
		default:
			name := s.draw("field", slices.Sorted(maps.Keys(selectable[owner]))...)
			alias := s.draw("alias", "", name+"_1:", name+"_2:")
			text += alias + name + condition
			if of := selectable[owner][name]; of != "" {
				text += s.of(of, max(depth-1, 0))
			}
			text += " "
		}
	}
	return text + "}"
}

// TestEncoderPanicsFailOneField checks that a panic while rows are encoded is an error of their
// field, like a panic in a resolver, and not of the whole request.
func TestEncoderPanicsFailOneField(t *testing.T) {
	t.Parallel()
	db := bun.NewDB(sql.OpenDB(shelf{}), pgdialect.New())
	t.Cleanup(func() { _ = db.Close() })
	server := newServer(store.New(db, store.Options{}), nil, func(r *http.Request) (context.Context, error) {
		return store.WithCredential(r.Context(), store.Credential{Merchant: store.Merchant{ID: "merchant_1"}}), nil
	}, Options{Limits: guard.DefaultLimits, Log: slog.New(slog.DiscardHandler), RequestID: func(context.Context) string { return "request" }})
	server.Use(encode.NewRows(encoders...))
	server.AroundFields(func(ctx context.Context, next graphql.Resolver) (any, error) {
		value, err := next(ctx)
		switch value := value.(type) {
		case []*model.CustomerEdge:
			return []*model.CustomerEdge{{}}, err
		case []*store.Customer:
			return []*store.Customer{value[0], nil}, err
		}
		return value, err
	})
	for _, query := range []string{`{customers{edges{node{id}}}}`, `{customers{nodes{id}}}`} {
		w := post(server, bodyOf(t, query, ``))
		reply := decode(t, w)
		require.Equal(t, http.StatusOK, w.Code, query)
		require.Len(t, reply.Errors, 1, query)
		require.Equal(t, "INTERNAL", reply.Errors[0].Extensions.Code, query)
		require.Contains(t, w.Body.String(), `"path":["customers",`, query)
	}
}

// TestEncoderFollowsVariables checks that a cached document with other variables still gets the
// reply of the executor.
func TestEncoderFollowsVariables(t *testing.T) {
	t.Parallel()
	handlers := newHandlerPair(t)
	for _, query := range []string{
		`query($x:Boolean!){customers{nodes{id name @include(if:$x)}}}`,
		`query($x:Boolean!){customers{nodes{id ...F @skip(if:$x)} edges{node{id ...F}}}} fragment F on Customer{email}`,
		`query($x:Boolean!){customers{nodes{id} ...F @include(if:$x)}} fragment F on CustomerConnection{nodes{email}}`,
		`query($x:Boolean!){a:customers{nodes{id}} b:customers{nodes{name}} merchant{id @skip(if:$x)}}`,
	} {
		for _, variables := range []string{`{"x":true}`, `{"x":false}`, `{"x":true}`} {
			want := post(handlers.executor, bodyOf(t, query, variables)).Body.String()
			require.Contains(t, want, `"data":{`, query)
			require.JSONEq(t, want, post(handlers.encoder, bodyOf(t, query, variables)).Body.String(), "%s %s", query, variables)
		}
	}
}
