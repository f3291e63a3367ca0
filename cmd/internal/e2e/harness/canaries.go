package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"lumen/store"
)

// A canary is a value that a test sends to a server: a string in a body, a variable, a literal, a
// parameter, an id or a header. Neither the server's log, metrics and traces nor its error messages
// may contain one. The tests' transports record each value they send, so no test has to do it.

// A source is something that a server writes about its work and that may contain no client's value,
// such as its log.
type source struct {
	name string
	read func() string
}

// Canaries are the values sent to one server, and the sources that must not contain them.
type Canaries struct {
	mu           sync.Mutex
	pieces       map[string][]string // by their first minPiece bytes
	values       map[string]bool     // recorded values
	judged       map[string]bool     // pieces that addPieces has seen, stored or not
	startText    string              // contents of the sources before the first request
	unreadBodies []string            // requests whose body could not be read
	echoed       []string            // messages about canaries in error replies
	sources      []source
	recorders    map[string]*LockedBuffer // by Authorization
}

const (
	// Shorter values occur in the sources by chance.
	minPiece = 6
	// Longer values are split into pieces, so that a truncated value is found as well.
	pieceLength = 16
	// For a value of several megabytes the first pieces are enough.
	maxPieces = 64
)

// watched holds the canaries of the running servers by host, and the canaries of all servers so
// far.
var watched struct {
	sync.Mutex
	at  map[string][]*Canaries
	all []*Canaries
}

// canariesAt returns the canaries that record requests to a host.
func canariesAt(host string) []*Canaries {
	watched.Lock()
	defer watched.Unlock()
	return slices.Clone(watched.at[host])
}

func newCanaries() *Canaries {
	return &Canaries{
		pieces: map[string][]string{}, values: map[string]bool{}, judged: map[string]bool{},
		recorders: map[string]*LockedBuffer{},
	}
}

// watch records the values sent to the server, and searches the sources for them when the test
// ends. A server that was restarted at the same address keeps its canaries.
func watch(t testing.TB, serverURL string, sources ...source) *Canaries {
	t.Helper()
	at, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	if again := canariesAt(at.Host); len(again) > 0 {
		for _, s := range sources {
			again[0].AlsoIn(s.name, s.read)
		}
		return again[0]
	}
	c := newCanaries()
	for _, s := range sources {
		c.AlsoIn(s.name, s.read)
	}
	c.Covers(t, at.Host)
	t.Cleanup(func() {
		t.Helper()
		for _, found := range c.leaks() {
			t.Error(found)
		}
	})
	return c
}

// Covers also records the values sent to another host.
func (c *Canaries) Covers(t testing.TB, host string) {
	t.Helper()
	watched.Lock()
	defer watched.Unlock()
	if watched.at == nil {
		watched.at = map[string][]*Canaries{}
	}
	watched.at[host] = append(watched.at[host], c)
	if !slices.Contains(watched.all, c) {
		watched.all = append(watched.all, c)
	}
	t.Cleanup(func() {
		watched.Lock()
		defer watched.Unlock()
		delete(watched.at, host)
	})
}

// AlsoIn adds a source that must not contain a canary.
func (c *Canaries) AlsoIn(name string, read func() string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sources = append(c.sources, source{name, read})
	c.startText += strings.ToLower(read())
}

// repositoryFile returns the path of a file that is named relative to the top of the repository.
// Tests run in the folder of their package, so the relative name alone does not open it.
func repositoryFile(name string) string {
	folder, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return filepath.Join(folder, name)
		}
		if folder == filepath.Dir(folder) {
			panic("the tests run outside the repository")
		}
		folder = filepath.Dir(folder)
	}
}

// serverWords are the words that a server may write even if a client sent them, one a line: those
// of the schema, and those of its log.
var serverWords = sync.OnceValue(func() string {
	text, err := os.ReadFile(repositoryFile("schema.graphql"))
	if err != nil {
		panic(err)
	}
	words := regexp.MustCompile(`[\w![\]]+`).FindAllString(strings.ToLower(string(text)), -1)
	words = append(words, "request", "method", "delete", "secret", "options", "status", "aborted", "duration", "requestid", "/graphql",
		"extensions", "variables", "persistedquery", "version",
		"customer_id", "select customers", "insert customers", "update customers")
	return strings.Join(words, "\n")
})

// loggedIDs are the ids that the log contains on purpose: those of merchants and keys. merchant_123
// is the merchant of the API reference.
var loggedIDs = regexp.MustCompile(`(merchant|key|token_key)_[0-9a-z]{26}|merchant_123`)

// loggedCustomer is the attribute of a request's line that holds the id of the customer that the
// request found, in both formats of the log. TestLogNamesTheKeyAndTheCustomer checks these ids.
var loggedCustomer = regexp.MustCompile(`,"customer":"cust_\w{1,64}"| customer=cust_\w{1,64}`)

// WithoutCustomers returns a log without the ids of customers that its requests found.
func WithoutCustomers(log string) string { return loggedCustomer.ReplaceAllString(log, "") }

// Note records values as canaries. It ignores times.
func (c *Canaries) Note(values ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, value := range values {
		value = strings.ToLower(strings.TrimSpace(value))
		if _, isTime := store.ParseTime(value); isTime || c.values[value] {
			continue
		}
		c.values[value] = true
		for _, part := range loggedIDs.Split(value, -1) {
			c.addPieces(part)
		}
	}
}

// addPieces splits a value into pieces and stores those that cannot occur in the sources otherwise.
func (c *Canaries) addPieces(value string) {
	for n := 0; len(value) >= minPiece && n < maxPieces; n++ {
		piece := value[:min(len(value), pieceLength)]
		value = value[len(piece):]
		if c.judged[piece] {
			continue
		}
		c.judged[piece] = true
		if isDistinctive(piece) && !strings.Contains(serverWords(), strings.TrimSpace(piece)) && !strings.Contains(c.startText, piece) {
			head := piece[:minPiece]
			c.pieces[head] = append(c.pieces[head], piece)
		}
	}
}

// isDistinctive reports whether a piece has more than three different characters.
func isDistinctive(piece string) bool {
	different := map[rune]bool{}
	for _, r := range piece {
		different[r] = true
	}
	return len(different) > 3
}

// piecesIn returns the pieces that a text contains, in any letter case and any of its decodings.
func (c *Canaries) piecesIn(text string) []string {
	var found []string
	for _, form := range decodings(text) {
		form = strings.ToLower(form)
		for i := range max(len(form)-minPiece+1, 0) {
			for _, piece := range c.pieces[form[i:i+minPiece]] {
				if strings.HasPrefix(form[i:], piece) && !slices.Contains(found, piece) {
					found = append(found, piece)
				}
			}
		}
	}
	return found
}

var unescaper = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `&lt;`, "<", `&gt;`, ">", `&#39;`, "'", `&#34;`, `"`, `&quot;`, `"`, `&amp;`, "&")

// decodings returns a text, and what it becomes without the escapes of JSON, Go, HTML and URLs.
func decodings(text string) []string {
	all := []string{text}
	add := func(form string) {
		if !slices.Contains(all, form) {
			all = append(all, form)
		}
	}
	var value any
	if json.Unmarshal([]byte(text), &value) == nil {
		eachString(value, func(s string) { add(s) })
	}
	for _, form := range slices.Clone(all) {
		once := unescaper.Replace(form)
		add(once)
		add(unescaper.Replace(once))
		for _, unescape := range []func(string) (string, error){url.QueryUnescape, url.PathUnescape} {
			if plain, err := unescape(form); err == nil {
				add(plain)
			}
		}
	}
	return all
}

// leaks returns a message for each canary in each source.
func (c *Canaries) leaks() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, request := range c.unreadBodies {
		all = append(all, "the body of this request could not be read: "+request)
	}
	all = append(all, c.echoed...)
	for _, s := range c.sources {
		reported := map[string]bool{}
		for line := range strings.Lines(WithoutCustomers(s.read())) {
			for _, piece := range c.piecesIn(strings.TrimSpace(line)) {
				if !reported[piece] {
					all = append(all, fmt.Sprintf("the %s contains %q, which a client sent: %.400s", s.name, piece, line))
				}
				reported[piece] = true
			}
		}
	}
	return all
}

// eachString calls each with every string in a JSON value, keys included. serverWords excludes the
// keys that belong to the API.
func eachString(value any, each func(string)) {
	switch v := value.(type) {
	case string:
		each(v)
	case []any:
		for _, element := range v {
			eachString(element, each)
		}
	case map[string]any:
		for key, member := range v {
			each(key)
			eachString(member, each)
		}
	}
}

var (
	// stringLiterals matches the string literals in a GraphQL document.
	stringLiterals = regexp.MustCompile(`"""((?s).*?)"""|"((?:[^"\\\n]|\\.)*)"`)
	// wordRuns matches possible values in a body that is not JSON.
	wordRuns = regexp.MustCompile(`[\w@.+-]{6,}`)
	// unwatchedHeaders hold no value of a client's that has to be hidden. The log contains the ids
	// of a request and of its trace if they are well-formed.
	unwatchedHeaders = []string{"Traceparent", "Content-Type", "Accept", "Accept-Encoding", "Content-Encoding", "Content-Length", "User-Agent", "Origin", "X-Request-Id"}
)

// noteRequest records the values in a request.
func (c *Canaries) noteRequest(r *http.Request) {
	if path, ok := strings.CutPrefix(r.URL.Path, "/api/customers/"); ok {
		c.Note(strings.TrimSuffix(path, "/history"))
	}
	for pair := range strings.FieldsFuncSeq(r.URL.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		_, value, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(value); err == nil {
			value = plain
		}
		c.Note(value)
	}
	for name, values := range r.Header {
		if slices.Contains(unwatchedHeaders, name) {
			continue
		}
		for _, value := range values {
			if scheme, secret, ok := strings.Cut(value, " "); ok && name == "Authorization" && strings.EqualFold(scheme, "bearer") {
				value = secret
			}
			c.Note(value)
		}
	}
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	var body []byte
	if r.GetBody != nil {
		if again, err := r.GetBody(); err == nil {
			body, _ = io.ReadAll(again)
		}
	}
	if len(body) == 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unreadBodies = append(c.unreadBodies, r.Method+" "+r.URL.Path)
		return
	}
	c.noteBody(body)
}

// noteBody records the values in a body. It reads only the start of a body that is larger than any
// server accepts.
func (c *Canaries) noteBody(body []byte) {
	const most = 64 << 10
	body = body[:min(len(body), most+1)]
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		c.Note(wordRuns.FindAllString(string(body), -1)...)
		return
	}
	eachString(value, func(s string) {
		c.Note(s)
		for _, literal := range stringLiterals.FindAllStringSubmatch(s, -1) {
			c.Note(literal[1], literal[2])
		}
	})
}
