package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// hostile is a request that is made to do harm, and the code of its refusal. An empty code means
// that the request is executed.
type hostile struct{ name, body, code string }

// fragmentChain returns fragments that each spread the next one the given number of times. The last
// selects the leaf. A server that expands the spreads gets times^levels leaves.
func fragmentChain(on, leaf string, times, levels int) string {
	var b strings.Builder
	for i := range levels {
		fmt.Fprintf(&b, " fragment F%d on %s{%s}", i, on, strings.Repeat(fmt.Sprintf("...F%d ", i+1), times))
	}
	fmt.Fprintf(&b, " fragment F%d on %s{%s}", levels, on, leaf)
	return b.String()
}

// repeatNumbered repeats a text and replaces # by the number of the repetition.
func repeatNumbered(text string, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(text, "#", strconv.Itoa(i)))
	}
	return b.String()
}

func nested(open, inside, end string, n int) string {
	return strings.Repeat(open, n) + inside + strings.Repeat(end, n)
}

func hostileRequests(t *testing.T) []hostile {
	const limit, parse, validation, badRequest = "LIMIT_EXCEEDED", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED", "BAD_REQUEST"
	var all []hostile
	raw := func(name, code, body string) { all = append(all, hostile{name, body, code}) }
	with := func(name, code, query, variables string) {
		raw(name, code, `{"query":`+harness.JSON(t, query)+`,"variables":`+variables+`}`)
	}
	document := func(name, code, query string) { with(name, code, query, "null") }
	rep := strings.Repeat

	for _, size := range []struct{ times, levels, power int }{{2, 24, 24}, {8, 8, 24}, {16, 8, 32}, {16, 12, 48}, {32, 12, 60}, {2, 60, 60}, {16, 15, 60}} {
		name := fmt.Sprintf("fan-out of 2^%d, %d at a time", size.power, size.times)
		document(name, limit, "{...F0}"+fragmentChain("Query", "merchant{id}", size.times, size.levels))
		document(name+", under a list", limit, "{customers(first:250){nodes{...F0}}}"+fragmentChain("Customer", "id", size.times, size.levels))
		with(name+", in an operation full of variables", limit,
			"query("+repeatNumbered("$v#:ID!,", 40)+"){"+repeatNumbered("a#:customer(id:$v#){...F0}", 20)+repeatNumbered("b#:node(id:$v#){id}", 5)+"}"+fragmentChain("Customer", "id", size.times, size.levels),
			"{"+strings.TrimSuffix(repeatNumbered(`"v#":"cust_1",`, 40), ",")+"}")
	}
	document("a fan-out in unused fragments", limit, "{merchant{id}}"+fragmentChain("Query", "merchant{id}", 16, 12))
	document("a fan-out behind @skip", limit, "{merchant{id} ...F0@skip(if:true)}"+fragmentChain("Query", "merchant{id}", 16, 12))
	document("a fan-out of aliases", limit, "{...F0}"+fragmentChain("Query", "a:merchant{id}", 8, 4))
	document("a fan-out of directives", limit, "{...F0}"+fragmentChain("Query", "merchant{id @include(if:true)}", 8, 3))
	document("a fan-out of inline fragments", limit, "{"+nested("...{a:merchant{id} ", "merchant{id}", "}", 40)+"}")
	document("a fan-out in a cycle", validation, "{...F0} fragment F0 on Query{...F1 ...F1} fragment F1 on Query{...F0 ...F0}")
	document("a fragment that spreads itself", validation, "{...F} fragment F on Query{merchant{id} ...F}")
	document("a cycle of 100 fragments", validation, "{...F0}"+repeatNumbered(" fragment F# on Query{...G#}", 100)+repeatNumbered(" fragment G# on Query{...F#}", 100))

	document("one field 10,000 times", limit, "{merchant{"+rep("id ", 10_000)+"}}")
	document("one field 1,100 times", limit, "{merchant{"+rep("id ", 1_100)+"}}")
	document("an unknown field 10,000 times", limit, "{"+rep("x ", 10_000)+"}")
	document("an unknown field 990 times", validation, "{"+rep("x ", 990)+"}")
	document("3,000 aliases", limit, "{"+repeatNumbered("a#:merchant{id}", 3_000)+"}")
	document("10,000 aliases", "PAYLOAD_TOO_LARGE", "{"+repeatNumbered("a#:merchant{id}", 10_000)+"}")
	document("31 aliases", limit, "{"+repeatNumbered("a#:merchant{id}", 31)+"}")
	document("31 aliases inside", limit, "{customers{nodes{"+repeatNumbered("a#:id ", 31)+"}}}")
	document("10,000 directives", limit, "{merchant{id "+rep("@x ", 10_000)+"}}")
	document("51 directives", limit, "{merchant{id "+rep("@include(if:true) ", 51)+"}}")
	document("51 directives on the operation", limit, "query "+rep("@x ", 51)+"{merchant{id}}")
	document("50 unknown directives", validation, "{merchant{id "+rep("@x ", 50)+"}}")
	document("3,000 inline fragments", limit, "{merchant{"+rep("...{id} ", 3_000)+"}}")
	document("400 inline fragments, nested", limit, "{merchant{"+nested("...{", "id", "}", 400)+"}}")
	document("inline fragments in each other, full of fields", limit, "{merchant{"+nested(rep("id ", 40)+"...{", "id", "}", 17)+"}}")
	document("21 levels", limit, nested("{merchant", "{id}", "}", 21))
	document("900 levels", limit, nested("{a", "{b}", "}", 900))
	document("20,000 levels of lists in a value", limit, "{customer(id:"+nested("[", "1", "]", 20_000)+"){id}}")
	document("11 levels of lists in a value", limit, "{customer(id:"+nested("[", "1", "]", 11)+"){id}}")
	document("400 levels of objects in a value", limit, "{customers(filter:"+nested("{email:", "1", "}", 400)+"){totalCount}}")
	document("a value nested in a default", limit, "query($i:[ID!]="+nested("[", "1", "]", 11)+"){nodes(ids:$i){id}}")
	document("a value nested in a directive", limit, "{merchant{id @include(if:"+nested("[", "1", "]", 11)+")}}")
	document("a list type of 20,000 levels", limit, "query($x:"+nested("[", "ID", "]", 20_000)+"){merchant{id}}")
	document("400 arguments", validation, "{customer("+rep("id:1 ", 400)+"){id}}")
	document("400 times the same input field", validation, "{customers(filter:{"+rep(`email:"x" `, 400)+"}){totalCount}}")
	document("350 variables that are not used", validation, "query("+repeatNumbered("$v#:ID ", 350)+"){merchant{id}}")
	document("one variable 350 times", validation, "query("+rep("$v:ID ", 350)+"){merchant{id}}")
	document("250 operations of one name", validation, rep("query A{merchant{id}}", 250))
	document("150 fragments of one name", validation, "{...F}"+rep(" fragment F on Query{merchant{id}}", 150))
	document("60 KiB of comments", limit, "{merchant{id}}"+rep("#\n", 20_000))
	document("60 KiB of commas", validation, rep(",", 60_000))
	document("60 KiB of white space and an error", validation, rep(" ", 60_000)+"{x}")
	document("60 KiB in one string", validation, `{customer(id:"`+rep("A", 60_000)+`",x:1){id}}`)
	document("60 KiB in one block string that does not end", parse, `{customer(id:"""`+rep("A", 60_000))
	document("100 operations with one large fragment", limit, repeatNumbered("query A#{...F}", 100)+" fragment F on Query{merchant{"+rep("id ", 900)+"}}")
	document("50 fragments with one large fragment", limit, "{merchant{id}}"+repeatNumbered(" fragment G# on Merchant{...B}", 50)+" fragment B on Merchant{...{"+rep("id ", 900)+"}}")
	document("60 operations with 700 spreads", limit, repeatNumbered("query A#{...F}", 60)+" fragment F on Query{"+rep("...X ", 700)+"}")
	document("980 spreads of unknown fragments", validation, "{merchant{"+repeatNumbered("...A# ", 980)+"}}")
	document("60 operations with a long name in an error", validation, repeatNumbered("query A#{...F}", 60)+" fragment F on Query{customers(sort:{field:"+rep("A", 50_000)+",direction:ASC}){totalCount}}")
	document("27,000 conflicts", validation, "{merchant{"+rep("id:name ", 30)+"}merchant{"+rep("id ", 900)+"}}")
	document("27,000 conflicts, in two operations", validation, "query A{...F}query B{...F} fragment F on Query{merchant{"+rep("id:name ", 30)+"}merchant{"+rep("id ", 580)+"}}")
	with("null for a condition", validation, "query($x:Boolean=true){merchant@include(if:$x){id}}", `{"x":null}`)
	with("null for a condition of a mutation", validation, `mutation($x:Boolean=true){createCustomer(input:{email:"h@x.io"}){customer{id@include(if:$x)}}}`, `{"x":null}`)
	with("more ids than a list may have", "INVALID_INPUT", "query($x:[ID!]!){nodes(ids:$x){id} customer(id:\"cust_1\"){id}}", `{"x":[`+strings.TrimSuffix(repeatNumbered(`"cust_#",`, 2_000), ",")+`]}`)
	raw("an operation name of 60 KiB", validation, `{"query":"{merchant{id}}","operationName":"`+rep("secret ", 8_500)+`"}`)
	document("60 KiB in one name", validation, "{"+rep("A", 60_000)+"}")
	document("60 KiB in one alias", limit, "{"+rep("A", 60_000)+":customer(id:1){id}}")
	document("60 KiB in one number", validation, "{customer(id:"+rep("1", 60_000)+",x:1){id}}")
	document("an unknown character", parse, "{merchant{id \u0007}}")

	document("pages of 250 under 30 aliases", limit, "{"+repeatNumbered("a#:customers(first:250){nodes"+allFields+"}", 30)+"}")
	document("six pages of 250", limit, "{"+repeatNumbered("a#:customers(last:250){edges{node{...C}}}", 6)+"} fragment C on Customer"+allFields)
	with("pages whose size is a variable", limit, "query($n:Int){"+repeatNumbered("a#:customers(first:$n){edges{cursor node{...C}}}", 6)+"} fragment C on Customer"+allFields, `{"n":250}`)
	with("1,750 ids under aliases", limit, "query($i:[ID!]!){"+repeatNumbered("a#:nodes(ids:$i){...on Customer"+allFields+"}", 7)+"}", `{"i":[`+rep(`"cust_1",`, 249)+`"cust_2"]}`)
	document("a search and a total, 10 times", limit, "{"+repeatNumbered(`a#:customers(filter:{search:"zz"}){totalCount}`, 10)+"}")
	document("30 totals", limit, "{"+repeatNumbered("a#:customers{totalCount}", 30)+"}")

	with("variables of 9,000 levels", limit, `query($f:CustomerFilter){customers(filter:$f){totalCount}}`, `{"f":`+nested("[", "1", "]", 9_000)+`}`)
	with("variables of 12 levels that nothing uses", limit, `{merchant{id}}`, `{"f":`+nested(`{"a":`, "1", "}", 12)+`}`)
	with("variables of 25,000 levels", badRequest, `{merchant{id}}`, `{"f":`+nested("[", "1", "]", 25_000)+`}`)
	with("40 KiB of variables", limit, `{merchant{id}}`, `{"f":"`+rep("A", 40<<10)+`"}`)
	with("30 KiB of variables of the wrong type", validation, operations["create"], `{"input":{"email":{"`+rep("A", 30<<10)+`":1}}}`)
	with("5,000 variables that are not asked for, and an error", validation, `{x}`, `{`+strings.TrimSuffix(repeatNumbered(`"#":1,`, 3_500), ",")+`}`)
	with("a number beyond the range", validation, `query($n:Int){customers(first:$n){totalCount}}`, `{"n":1e400}`)
	raw("100,000 levels of variables", "PAYLOAD_TOO_LARGE", `{"query":"{merchant{id}}","variables":{"f":`+nested("[", "1", "]", 100_000)+`}}`)
	raw("a batch of 1,000", badRequest, `[`+rep(`{"query":"{merchant{id}}"},`, 999)+`{"query":"{merchant{id}}"}]`)
	raw("a key twice", badRequest, `{"query":"{merchant{id}}","query":"{x}"}`)
	raw("a key in another case", badRequest, `{"QUERY":"{merchant{id}}"}`)
	raw("something behind the object", badRequest, `{"query":"{merchant{id}}"}{"query":"{merchant{id}}"}`)
	raw("60 KiB of rubbish", badRequest, rep("secret ", 9_000))
	raw("a query of numbers", badRequest, `{"query":[`+rep("1,", 20_000)+`1]}`)
	raw("an unknown hash", "PERSISTED_QUERY_NOT_SUPPORTED", `{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"`+rep("ab", 32)+`"}}}`)
	raw("an id of 60 KiB", "PERSISTED_QUERY_NOT_SUPPORTED", `{"documentId":"`+rep("A", 60_000)+`"}`)

	document("introspection in a cycle", validation, "{__schema{types{fields{type{fields{type{fields{name}}}}}}}}")
	document("introspection in a cycle through fragments", validation, "{__schema{types{...T}}} fragment T on __Type{fields{type{...T}}}")
	document("introspection of all wrapped types, 20 times", limit, "{__schema{types{"+nested("ofType{", "name", "}", 20)+"}}}")
	document("a type by its name, at length", limit, "{"+repeatNumbered(`a#:__type(name:"Node"){possibleTypes{fields{`+repeatNumbered("b#:description ", 29)+`}}}`, 1)+repeatNumbered(`c#:__type(name:"Query"){fields{args{type{name fields{name}}}}}`, 29)+"}")
	document("the whole schema, 30 times", limit, "{"+repeatNumbered("a#:__schema{types{name description fields{name description args{name description}} inputFields{name description} enumValues{name description}}}", 30)+"}")
	document("each type by its name, 30 times over", limit, "{"+repeatNumbered(`a#:__type(name:"Customer"){fields{name description type{name fields{name description}}}}`, 30)+repeatNumbered(`a#:__schema{types{name}}`, 2)+"}")

	// The most expensive documents within the limits: validation compares each of these fields with
	// all others of its name.
	document("one field 990 times", "", "{merchant{"+rep("id ", 990)+"}}")
	document("one field 850 times, in two inline fragments", "", "{merchant{"+rep("id ", 400)+"...{"+rep("id ", 300)+"...{"+rep("id ", 140)+"}}}}")
	chain := "{merchant{...F0}}"
	for i := range 8 {
		chain += fmt.Sprintf(" fragment F%d on Merchant{%s...{...F%d}}", i, rep("id ", 42), i+1)
	}
	document("one field 340 times, in nested fragments of both kinds", "", chain+" fragment F8 on Merchant{id}")
	document("one field in each of 180 fragments", "", "{merchant{"+repeatNumbered("...F# ", 180)+"}}"+repeatNumbered(" fragment F# on Merchant{id}", 180))
	document("lists in lists of one name", "", "{"+rep("merchant{"+rep("id ", 29)+"}", 33)+"}")
	return all
}

// cpuTime returns the processor time that the process has used.
func cpuTime(t *testing.T, p *harness.Process) time.Duration {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.Cmd.Process.Pid))
	require.NoError(t, err)
	var sum time.Duration
	for _, file := range threads {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		spent, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		require.NoError(t, err)
		sum += time.Duration(spent)
	}
	return sum
}

// maxEcho is longer than the longest name, with its quotes, that an error message may repeat.
const maxEcho = 70

// maxProcessorTime is the processor time that a request may use.
const maxProcessorTime = 200 * time.Millisecond

// TestHostileRequests sends each hostile request to a server process and measures its processor
// time. The request must be refused with its code, or executed, within maxProcessorTime. The reply
// must be short and repeat nothing of the request but short names. It fails if a limit is checked
// after the expensive work.
func TestHostileRequests(t *testing.T) {
	requests := hostileRequests(t)
	require.GreaterOrEqual(t, len(requests), 60)
	d := &harness.Server{Database: storetest.New(t)}
	m := d.Merchant(t, "Hostile")
	p := harness.Launch(t, func(cmd *exec.Cmd) { cmd.Env = harness.Environment("LUMEN_DATABASE_URL=" + d.AppURL()) }, "serve", "--addr", "127.0.0.1:0", "--json", "--introspection")
	d.URLs = p.Ready(t).URLs
	for range 20 {
		require.Equal(t, 200, d.GraphQL(t, m.WriteKey, `{customers{nodes{id}}}`, nil).Status)
	}

	type cost struct {
		name  string
		spent time.Duration
	}
	var costs []cost
	for _, h := range requests {
		t.Run(h.name, func(t *testing.T) {
			var r harness.Reply
			spent, body := time.Hour, h.body
			// Take the best of five tries, since other load makes the machine slower. One more
			// space makes it another document, which is not in the cache.
			for try := 0; try < 5 && spent > maxProcessorTime; try++ {
				before := cpuTime(t, p)
				r = d.Send(t, m.WriteKey, "POST", "/graphql", body)
				spent = min(spent, cpuTime(t, p)-before)
				body = strings.Replace(body, `"query":"`, `"query":" `, 1)
			}
			costs = append(costs, cost{h.name, spent})

			require.Less(t, r.Status, 500)
			var result struct {
				Errors []struct{ Extensions struct{ Code string } }
				Data   json.RawMessage
			}
			require.NoError(t, json.Unmarshal([]byte(r.Body), &result))
			if h.code == "" {
				require.Empty(t, result.Errors)
			} else {
				require.NotEmpty(t, result.Errors)
				require.Equal(t, h.code, result.Errors[0].Extensions.Code, r.Body[:min(len(r.Body), 300)])
				require.Empty(t, result.Data)
			}
			require.LessOrEqual(t, len(r.Body), 64<<10)
			require.LessOrEqual(t, spent, maxProcessorTime)
			require.NotContains(t, r.Body, "secret")
			for i := range max(len(r.Body)-maxEcho, 0) {
				require.False(t, strings.Contains(h.body, r.Body[i:i+maxEcho]), "echoed: %s", r.Body[i:i+maxEcho])
			}
		})
	}
	require.Equal(t, http.StatusOK, d.GraphQL(t, m.WriteKey, `{merchant{id}}`, nil).Status)
	slices.SortFunc(costs, func(a, b cost) int { return int(b.spent - a.spent) })
	t.Logf("%d hostile requests; the five with the most processor time:", len(costs))
	for _, r := range costs[:5] {
		t.Logf("%8s  %s", r.spent.Round(100*time.Microsecond), r.name)
	}
}
