package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store"
	"lumen/store/folding"
	"lumen/store/storetest"
)

// marker is part of every bad value, so that a reply that repeats the value is detected.
const marker = "M4rk3r"

// oddTexts are parts of JSON strings, written as in the body of a request.
var oddTexts = []string{
	// Invalid UTF-8, UTF-16 or JSON escapes, and NUL.
	`\u0000`, `\ud800`, `\udc00`, `\ud800\ud800`, `\udc00\ud800`, `\ud800x`, "\xc0\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xff", "\xed\xa0\x80", "\xfe\xff", "\x00", "\x1f", "\n",
	`\x41`, `\u12`, `\`, `"`,
	// Invisible, control and bidirectional characters.
	`\ufeff`, "\xef\xbb\xbf", `\u202e`, `\u2028`, `\u2029`, `\u200b`, `\u200d`, `\u2060`, `\u00ad`, `\u061c`, `\u180e`, `\u0007`, `\u001b[31m`, `\u0085`, `\u009f`, `\u007f`, `\r\nBcc: x`, `\t`, `\u00a0`, `\u3000`,
	// Characters that normalization or case mapping changes.
	`e\u0301`, `\u00e9`, `\u0130`, `\u0131`, `\u00df`, `\u1e9e`, `\u212a`, `\u03c2`, `\u03a3`, `\uff21`, `\u13a0`, `\uab70`, `\u0345`, `\u1f80`, `\u0300`, `\uac00`, `\u1100\u1161`,
	// Texts that have a meaning in SQL, HTML, templates, formats or paths.
	`\\`, `\"`, `'`, `''`, `%00`, `%s%n`, `$1`, `$$`, `?`, `::text`, `{{7*7}}`, `${x}`, `<script>alert(1)</script>`, `&amp;`, `' OR 1=1--`, `\\u0000`, `\\x00`, `\\'`, `/*`, `,`, `;`, `null`, `()`, `[]`, `..`, `-`, `@`, `@@`, `+tag`,
	// Characters outside the basic plane, private characters and noncharacters.
	`\ud83d\ude00`, "\U0001F468\u200D\U0001F469", `\ue000`, `\ufffe`, `\uffff`, "\U0010FFFF", `\udbff\udfff`, `\ufffd`,
	// Long texts.
	strings.Repeat("x", 64), strings.Repeat("x", 255), strings.Repeat("x", 300), strings.Repeat("x.", 130), strings.Repeat("\u00e9", 250), strings.Repeat(`\u0390`, 200), strings.Repeat("x", 5000), strings.Repeat("\U0001F600", 10000),
}

// badInput sends creates and updates to both APIs and checks the rules that hold for every bad
// input.
type badInput struct {
	sample
	*harness.Server
	m        storetest.Merchant
	number   atomic.Int64
	accepted atomic.Int64
	attempts [4]atomic.Int64 // by index in apiOperations
}

// apiOperations are the operations that take an input.
var apiOperations = []string{"REST create", "REST update", "GraphQL create", "GraphQL update"}

// attempt sends an input, which may be invalid JSON. It returns the created or updated row, or nil
// if the input was refused. target is the id of the row to update. The server must reply within a
// second, never with an internal error, and a refusal must neither repeat the input nor change the
// row.
func (b *badInput) attempt(t *testing.T, how, target, input string) map[string]any {
	t.Helper()
	before := ""
	if strings.HasSuffix(how, "update") {
		before = b.Send(t, b.m.ReadKey, "GET", b.path+"/"+target, "").Body
	}
	b.attempts[slices.Index(apiOperations, how)].Add(1)
	start := time.Now()
	var r harness.Reply
	switch how {
	case "REST create":
		r = b.Send(t, b.m.WriteKey, "POST", b.path, input)
	case "REST update":
		r = b.Send(t, b.m.WriteKey, "POST", b.path+"/"+target, input)
	case "GraphQL create":
		r = b.Send(t, b.m.WriteKey, "POST", "/graphql", `{"query":`+harness.JSON(t, b.mutation("create"))+`,"variables":{"input":`+input+`}}`)
	case "GraphQL update":
		r = b.Send(t, b.m.WriteKey, "POST", "/graphql", `{"query":`+harness.JSON(t, b.mutation("update"))+`,"variables":{"id":"`+target+`","input":`+input+`}}`)
	}
	require.Less(t, time.Since(start), atOnce, "%s %.200q", how, input)
	require.Less(t, r.Status, 500, "%s %.200q: %s", how, input, r.Body)

	var shown map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.Body), &shown), "%s %.200q: %q", how, input, r.Body)
	if data, ok := shown["data"].(map[string]any); ok {
		shown, _ = data["it"].(map[string]any)
	}
	if row, ok := shown[b.noun.Name()].(map[string]any); ok {
		if strings.HasSuffix(how, "create") {
			b.accepted.Add(1)
		}
		return row
	}
	require.NotContains(t, r.Body, marker, "%s %.200q", how, input)
	require.NotContains(t, r.Body, "INTERNAL", "%s %.200q", how, input)
	require.NotContains(t, r.Body, "SQLSTATE")
	if before != "" {
		require.Equal(t, before, b.Send(t, b.m.ReadKey, "GET", b.path+"/"+target, "").Body, "%s %.200q", how, input)
	}
	return nil
}

// newTarget creates a row for updates and returns its id.
func (b *badInput) newTarget(t *testing.T) string {
	t.Helper()
	r := b.Send(t, b.m.WriteKey, "POST", b.path, strings.ReplaceAll(b.create, "{new}", harness.FreshEmail()))
	require.Equal(t, 201, r.Status, r.Body)
	return strings.TrimPrefix(r.Header.Get("Location"), b.path+"/")
}

// stored returns the number of the merchant's rows.
func (b *badInput) stored(t *testing.T) (rows int64) {
	t.Helper()
	query := "SELECT count(*) FROM " + b.noun.Table() + " WHERE merchant_id = $1"
	require.NoError(t, b.Superuser().QueryRow(t.Context(), query, b.m.ID).Scan(&rows))
	return rows
}

// eachSample runs a test for every noun, each with its own server.
func eachSample(t *testing.T, merchant string, test func(*testing.T, *badInput)) {
	t.Helper()
	for _, s := range samples {
		t.Run(s.noun.Name(), func(t *testing.T) {
			t.Parallel()
			b := &badInput{sample: s, Server: harness.Serve(t)}
			b.m = b.Merchant(t, merchant)
			test(t, b)
		})
	}
}

// TestBadValues sends hostile, odd and long values in every text field of creates and updates to
// both APIs. A value must be refused without an echo, or be accepted and read back as it was sent.
// The long form sends all values everywhere. The short form sends a sixth of them, a different
// sixth for each operation.
func TestBadValues(t *testing.T) {
	t.Parallel()
	eachSample(t, "Bad", testBadValues)
}

func testBadValues(t *testing.T, b *badInput) {
	step, perField := 6, 15
	if storetest.Long() {
		step, perField = 1, 90
	}
	var targets atomic.Int64
	minInputs := map[string]int{} // by apiOperations
	inTurn := func(t *testing.T, input store.InputField, parts []string, send func(how, target, part string, i int)) {
		t.Parallel()
		targets.Add(1)
		target := b.newTarget(t)
		for turn, how := range apiOperations {
			if input.Immutable && strings.HasSuffix(how, "update") {
				continue // an update ignores it
			}
			for i := turn % step; i < len(parts); i += step {
				send(how, target, parts[i], i)
			}
		}
	}
	t.Run("fields", func(t *testing.T) {
		for _, input := range b.noun.Inputs() {
			if input.Kind == store.FlagKind || input.Kind == store.NumberKind {
				continue // they do not take text; see TestBadTypes
			}
			for _, how := range apiOperations {
				if !input.Immutable || strings.HasSuffix(how, "create") {
					minInputs[how] += perField
				}
			}
			forms := []string{input.Name}
			if input.Name == "email" {
				forms = append(forms, "email's domain")
			}
			for _, form := range forms {
				t.Run(form, func(t *testing.T) {
					inTurn(t, input, oddTexts, func(how, target, part string, i int) { b.value(t, how, form, target, part, i/step) })
				})
			}
			if input.Name == "email" {
				t.Run("addresses", func(t *testing.T) {
					inTurn(t, input, oddAddresses, func(how, target, part string, i int) {
						b.reads(t, how, "email", target, strings.ReplaceAll(part, "#", fmt.Sprint(how[0:1], len(how), i)))
					})
				})
			}
		}
	})
	rows := b.stored(t) - targets.Load()
	require.Equal(t, b.accepted.Load(), rows, "stored rows must equal accepted creates")
	for i, how := range apiOperations {
		n := b.attempts[i].Load()
		require.GreaterOrEqual(t, n, int64(minInputs[how]), how)
		t.Logf("%s: %d bad inputs", how, n)
	}
	t.Logf("%d creations were accepted and read back as they were sent", rows)
}

func (b *badInput) value(t *testing.T, how, field, target, part string, i int) {
	t.Helper()
	// The odd part is at the start, in the middle or at the end, since white space is kept only in
	// the middle.
	text := []string{marker + part + "z", part + marker, marker + part}[i%3]
	switch field {
	case "email":
		text = fmt.Sprintf("%s%d@x.io", text, b.number.Add(1))
	case "email's domain":
		field, text = "email", fmt.Sprintf("a%d@%s.io", b.number.Add(1), text)
	case "billingCountry":
		text = part
	}
	input := `{"` + field + `":"` + text + `"}`
	if strings.HasSuffix(how, "create") {
		input = b.creating(field, `"`+text+`"`)
	}
	b.readsBack(t, how, field, text, b.attempt(t, how, target, input))
}

// oddAddresses are whole email addresses. # stands for a text that makes each one unique.
var oddAddresses = []string{
	"#" + strings.Repeat("a", 58) + "@" + strings.Repeat("b.", 90) + "example", "#" + strings.Repeat("a", 245) + "@x.io", "#" + strings.Repeat("a", 310) + "@x.io", "#" + strings.Repeat("a", 1<<20) + "@x.io", "#" + strings.Repeat("\\u00e9", 120) + "@x.io",
	"plus+tag#@x.io", `\"quo ted#\"@x.io`, `\"#\"@x.io`, "#@[127.0.0.1]", "#@[IPv6:::1]", "#@127.0.0.1", "#@m\\u00fcnchen.example", "#@xn--mnchen-3ya.example", "#@XN--A", "#@xn--.example", "#@xn--\\u00fc.example",
	"\\u0130#@x.io", "\\u0131#@x.io", "I#@x.io", "#@\\u0130.example", "stra\\u00dfe#@x.io", "STRA\\u1e9eE#@x.io", "#@stra\\u00dfe.example", "\\u212a#@x.io", "\\u03c3\\u03c2\\u03a3#@x.io", "\\uff21#@x.io", "#@\\uff58.io", "#\\uff20x.io", "#@x\\u3002io",
	"#@x.io.", "#@.x.io", "#@x..io", "#@-x.io", "#@x-.io", ".#@x.io", "#.@x.io", "a..#@x.io", "#@x", "#@x.i", "#@x.123", "#@" + strings.Repeat("a", 64) + ".io", "#@a_b.io",
	" #@x.io ", "# @x.io", "#@ x.io", "#@x.io\\r\\nBcc: y@x.io", "#@x.io%0d%0aBcc:y", "#@@x.io", "#@y@x.io", "@", "#@", "@#.io", "#", "", " ", "Name <#@x.io>", "<#@x.io>", "mailto:#@x.io", "#@x.io,y@x.io", "#@x.io;y@x.io", "(c)#@x.io", "#@x.io(c)", "#\\\\@x.io", "'#@x.io", "`#@x.io",
	"#@x.io\\u0000", "\\u202e#@x.io", "\\ufeff#@x.io", "#\\u200b@x.io", "#\\u00ad@x.io", "e\\u0301#@x.io", "\\u00e9#@x.io", "\\ud83d\\ude00#@x.io", "#@\\ud83d\\ude00.io", "\\u0661#@x.io", "#@\\u0661.io",
}

// reads sends a value of a field unchanged and checks it with readsBack.
func (b *badInput) reads(t *testing.T, how, field, target, text string) {
	t.Helper()
	b.readsBack(t, how, field, text, b.attempt(t, how, target, `{"`+field+`":"`+text+`"}`))
}

// readsBack requires that an accepted value reads back as it was sent, with the documented changes:
// white space at the ends is removed, a blank text is null and a country is in upper case.
func (b *badInput) readsBack(t *testing.T, how, field, text string, row map[string]any) {
	t.Helper()
	if row == nil {
		return
	}
	var sent string
	require.NoError(t, json.Unmarshal([]byte(`"`+text+`"`), &sent), "accepted %q", text)
	require.True(t, slices.Equal([]rune(sent), []rune(strings.ToValidUTF8(sent, ""))))
	want := any(strings.TrimSpace(sent))
	if field == "billingCountry" {
		want = strings.ToUpper(want.(string))
	}
	if folding.IsBlank(sent) {
		want = nil
	}
	require.Equal(t, want, row[field], "%s %q", how, text)
	var read map[string]map[string]any
	require.NoError(t, json.Unmarshal([]byte(b.Send(t, b.m.ReadKey, "GET", fmt.Sprint(b.path, "/", row["id"]), "").Body), &read))
	require.Equal(t, want, read[b.noun.Name()][field], "%s %q", how, text)
}

// TestBadLiterals sends the odd texts as string literals in a GraphQL document, whose escapes
// differ from those of JSON. An accepted name must not contain a replacement character that the
// client did not send.
func TestBadLiterals(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Literals")
	for i, part := range oddTexts {
		for _, literal := range []string{`"` + marker + part + `z"`, `"""` + marker + part + `z"""`} {
			body, err := json.Marshal(map[string]string{"query": fmt.Sprintf(`mutation{createCustomer(input:{email:"n%d.%d@x.io",name:%s}){customer{name} userErrors{message}}}`, i, len(literal), literal)})
			require.NoError(t, err)
			start := time.Now()
			r := d.Send(t, m.WriteKey, "POST", "/graphql", string(body))
			require.Less(t, time.Since(start), atOnce)
			require.Less(t, r.Status, 500)
			var shown struct {
				Data struct {
					CreateCustomer struct{ Customer *struct{ Name string } }
				}
			}
			require.NoError(t, json.Unmarshal([]byte(r.Body), &shown))
			if shown.Data.CreateCustomer.Customer == nil {
				require.NotContains(t, r.Body, marker, "%q", literal)
				continue
			}
			// A replacement character appears only where one was sent.
			name := shown.Data.CreateCustomer.Customer.Name
			replaced := strings.ContainsRune(strings.ToValidUTF8(part, "\ufffd"), '\ufffd') || part == `\ufffd` && !strings.HasPrefix(literal, `"""`)
			require.Equal(t, replaced, strings.ContainsRune(name, '\ufffd'), "%q became %q", literal, name)
		}
	}
}

// TestBadBodies sends malformed and unusual JSON bodies to both APIs and checks which of them are
// accepted. IN stands for the members of a valid body. It fails if a parser accepts invalid JSON,
// duplicate keys or excessive depth, or if a refusal repeats the body.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	b := &badInput{sample: samples[0], Server: harness.Serve(t)}
	b.m = b.Merchant(t, "Bodies")
	target := b.Create(t, b.m, `{"email":"target@x.io"}`)
	utf16 := func(text string) string {
		var out strings.Builder
		for _, c := range text {
			out.WriteByte(0)
			out.WriteByte(byte(c))
		}
		return out.String()
	}
	const ok, bad = true, false
	for _, c := range []struct {
		body     string
		accepted bool // by REST
	}{
		{`{IN}`, ok}, {" \r\n\t{ IN } \n", ok}, {`{IN,"x":"` + marker + `"}`, ok}, {`{IN,"x":{"y":[1,2,{"z":null}]}}`, ok},
		{`{IN,"n":1e400}`, ok}, {`{IN,"n":9223372036854775808}`, ok}, {`{IN,"n":-0}`, ok}, {`{IN,"NAME":"` + marker + `"}`, ok},
		{``, bad}, {` `, bad}, {`null`, bad}, {`true`, bad}, {`5`, bad}, {`"` + marker + `"`, bad}, {`[]`, bad}, {`[{IN}]`, bad}, {`{IN`, bad}, {`{IN}}`, bad}, {`{IN}{IN}`, bad}, {`{IN} ` + marker, bad}, {`{IN},`, bad}, {`{IN,}`, bad},
		{`{IN,"a":1,"a":1}`, bad}, {`{IN,"x":{"a":1,"a":2}}`, bad}, {`{IN,"name":"` + marker + `","name":"B"}`, bad}, {`{IN,"\u006eame":"` + marker + `","name":"B"}`, bad}, {`{IN,IN}`, bad},
		{`{IN,"n":NaN}`, bad}, {`{IN,"n":Infinity}`, bad}, {`{IN,"n":01}`, bad}, {`{IN,"n":1.}`, bad}, {`{IN,"n":.5}`, bad}, {`{IN,"n":+1}`, bad}, {`{IN,"n":0x10}`, bad}, {`{IN,"n":1e}`, bad}, {`{IN,"n":--1}`, bad},
		{`{IN,"n":'` + marker + `'}`, bad}, {`{IN,name:"` + marker + `"}`, bad}, {`{IN,/*` + marker + `*/"a":1}`, bad}, {"{IN}//" + marker, bad}, {"{IN,\"a\":\"\x01\"}", bad}, {"{IN,\"a\":\"\xff\"}", bad}, {"{IN,\"\xff\":1}", bad}, {`{IN,"a":"\ud800"}`, bad}, {`{IN,"\udc00":1}`, bad},
		{"\xef\xbb\xbf{IN}", bad}, {"\xfe\xff" + utf16(`{"email":"a@x.io"}`), bad}, {utf16(`{"email":"a@x.io"}`), bad}, {"{IN}\x00", bad}, {"\x00{IN}", bad},
		{`{IN,"x":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `}`, bad}, {`{IN,"x":` + strings.Repeat("[", 30000), bad}, {`{IN,"x":` + strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10001) + `}`, bad},
		{strings.Repeat("[", 60000), bad}, {strings.Repeat(`{"a":`, 12000), bad}, {`{IN,"x":"` + strings.Repeat("x", 1<<20) + `"}`, bad}, {`{IN,"x":"` + strings.Repeat("x", 5<<20) + `"}`, bad},
		{`email=a@x.io&name=` + marker, bad}, {`<email>a@x.io</email>`, bad}, {`{"email":{"$ne":"` + marker + `"}}`, bad}, {`{"email":["a@x.io","` + marker + `"]}`, bad},
	} {
		for _, how := range apiOperations {
			members := fmt.Sprintf(`"email":"n%d@x.io"`, b.number.Add(1))
			customer := b.attempt(t, how, target, strings.ReplaceAll(c.body, "IN", members))
			accepted := c.accepted
			if strings.HasPrefix(how, "GraphQL") && strings.Contains(c.body, `IN,"`) { // an unknown key, which only REST ignores
				accepted = bad
			}
			if how == "GraphQL update" && strings.TrimSpace(c.body) == "null" {
				accepted = bad
			}
			require.Equal(t, accepted, customer != nil, "%s %.200q", how, c.body)
		}
		// The same body, with the members of a GraphQL request.
		members := `"query":"{merchant{name}}"`
		r := b.Send(t, b.m.WriteKey, "POST", "/graphql", strings.ReplaceAll(c.body, "IN", members))
		require.Less(t, r.Status, 500, "%.200q", c.body)
		require.NotContains(t, r.Body, marker)
		require.Equal(t, c.accepted, r.Body == `{"data":{"merchant":{"name":"Bodies"}}}`, "%.200q: %s", c.body, r.Body)
		if !c.accepted {
			require.GreaterOrEqual(t, r.Status, 400)
		}
	}
	// Nesting within the limit of the JSON parser is still the wrong type for a field.
	for _, deep := range []string{strings.Repeat("[", 33) + strings.Repeat("]", 33), strings.Repeat("[", 9000) + strings.Repeat("]", 9000), strings.Repeat(`{"a":`, 5000) + `"` + marker + `"` + strings.Repeat("}", 5000)} {
		for _, how := range apiOperations {
			require.Nil(t, b.attempt(t, how, target, `{"email":"deep@x.io","name":`+deep+`}`))
		}
	}
	require.Len(t, storedRows(t, b.Server, b.m), int(b.accepted.Load())+1)
}

// TestBadTypes sends values of the wrong JSON type in every field. Each must be refused and change
// nothing.
func TestBadTypes(t *testing.T) {
	t.Parallel()
	eachSample(t, "Types", func(t *testing.T, b *badInput) {
		target := b.newTarget(t)
		for _, input := range b.noun.Inputs() {
			for _, value := range []string{`5`, `-0`, `1e999`, `9223372036854775808`, `1.5`, `true`, `[]`, `{}`, `["` + marker + `"]`, `{"` + marker + `":1}`, `[null]`, `""`, `"true"`} {
				if isOfKind(value, input.Kind) {
					continue
				}
				for _, how := range apiOperations {
					bad := b.creating(input.Name, value)
					require.Nil(t, b.attempt(t, how, target, bad), "%s %s", how, bad)
				}
			}
		}
		require.Equal(t, int64(1), b.stored(t))
	})
}

// isOfKind reports whether a JSON value has the type that this kind of input takes.
func isOfKind(value string, kind store.Kind) bool {
	switch kind {
	case store.FlagKind:
		return value == "true"
	case store.NumberKind:
		return value == "5" || value == "-0"
	default:
		return strings.HasPrefix(value, `"`)
	}
}

// TestBadIDs sends malformed ids in variables of GraphQL and requires the documented error.
// TestRoutes sends malformed ids to REST.
func TestBadIDs(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "IDs")
	for _, id := range []string{
		`""`, `"cust_"`, `"CUST_1"`, `"cust_` + marker + ` "`, `" cust_1"`, `"cust_1\n"`, `"cust_\u0000"`, `"../` + marker + `"`, `"' OR 1=1--` + marker + `"`, `"$1"`, `"?"`, `"cust_١"`, `"cust_é"`,
		`"` + strings.Repeat("x", 10<<10) + marker + `"`, `5`, `-1`, `9223372036854775807`, `"cust_%00"`, `"customer_1"`,
	} {
		const coordinates = `"path":["it"],"extensions":{"code":"INVALID_ID"}}],"data":`
		for operation, want := range map[string]string{
			operations["get"]:                         `{"errors":[{"message":"Invalid customer ID format",` + coordinates + `{"it":null}}`,
			`query($id:ID!){it:node(id:$id){id}}`:     `{"errors":[{"message":"Invalid customer ID format",` + coordinates + `{"it":null}}`,
			`query($id:ID!){it:nodes(ids:[$id]){id}}`: `{"data":{"it":[null]}}`,
			operations["delete"]:                      `{"data":{"it":{"deletedCustomerId":null,"userErrors":[{"code":"INVALID_ID","field":["id"],"message":"Invalid customer ID format","reason":null}]}}}`,
			`mutation($id:ID!){it:updateCustomer(id:$id,input:{email:"bad"}){userErrors{code field message}}}`: `{"data":{"it":{"userErrors":[{"code":"INVALID_ID","field":["id"],"message":"Invalid customer ID format"}]}}}`,
		} {
			require.Equal(t, answer{200, want}, brief(d.GraphQL(t, m.WriteKey, operation, `{"id":`+id+`}`)), "%.100s", id)
		}
	}
	for _, id := range []string{`1.5`, `true`, `["cust_1"]`, `{}`, `null`, `9223372036854775808`, `1e3`} {
		r := d.GraphQL(t, m.WriteKey, operations["get"], `{"id":`+id+`}`)
		if id == "1e3" { // a whole number, which GraphQL accepts as an ID
			require.Contains(t, r.Body, "INVALID_ID")
			continue
		}
		require.Contains(t, r.Body, "GRAPHQL_VALIDATION_FAILED", id)
		require.NotContains(t, r.Body, `"data"`)
	}
}
