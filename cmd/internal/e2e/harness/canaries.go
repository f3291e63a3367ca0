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

// Whatever a test sends to a server in a field - a string of a body, a variable, a literal, a parameter, an id, a header - is a
// canary: the server's own records must not hold it, nor what it says is wrong. The transports of the tests note what they
// carry, so that no test has to think of it.

// A source is something that a server writes about its work and that no client's value may reach, such as its log.
type source struct {
	name string
	read func() string
}

// Canaries are what was sent to one server, and where they must not be.
type Canaries struct {
	mu        sync.Mutex
	pieces    map[string][]string // by their first letters
	values    map[string]bool     // those that were noted
	judged    map[string]bool     // pieces, kept or not
	own       string              // what the sources held before anything was sent
	unread    []string            // requests whose body could not be noted
	echoed    []string            // canaries in replies that say what is wrong
	sources   []source
	recorders map[string]*LockedBuffer // by Authorization
}

const (
	// Shorter values would be met by chance.
	shortestCanary = 6
	// Of longer values each piece is one, so that what was cut off shows as well.
	canaryPiece = 16
	// The first pieces of a value of megabytes do.
	mostPieces = 64
)

// watched are the canaries of the servers that run, by host, and all that there were.
var watched struct {
	sync.Mutex
	at  map[string][]*Canaries
	all []*Canaries
}

// canariesAt returns the canaries for what is sent to a host.
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

// watch has what is sent to the server noted, and looks for it when the test ends. A server that was started again at the same
// address is the same.
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
		for _, found := range c.caught() {
			t.Error(found)
		}
	})
	return c
}

// Covers has what is sent to another host noted here, too.
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

// AlsoIn adds a source.
func (c *Canaries) AlsoIn(name string, read func() string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sources = append(c.sources, source{name, read})
	c.own += strings.ToLower(read())
}

// repositoryFile returns the path of a file, which is named from the top of the repository: tests run
// in the folder of their package.
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

// ownWords are what a server may write whatever was sent, a word a line: its vocabulary, which is that of the schema, and what
// is in its log.
var ownWords = sync.OnceValue(func() string {
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

// ownIDs are in the log by intention: a merchant's, which is also the reference's merchant_123, a key's.
var ownIDs = regexp.MustCompile(`(merchant|key|token_key)_[0-9a-z]{26}|merchant_123`)

// Note adds values.
func (c *Canaries) Note(values ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, value := range values {
		value = strings.ToLower(strings.TrimSpace(value))
		if _, isTime := store.ParseTime(value); isTime || c.values[value] {
			continue
		}
		c.values[value] = true
		for _, part := range ownIDs.Split(value, -1) {
			c.cut(part)
		}
	}
}

// cut keeps the pieces of a value.
func (c *Canaries) cut(value string) {
	for n := 0; len(value) >= shortestCanary && n < mostPieces; n++ {
		piece := value[:min(len(value), canaryPiece)]
		value = value[len(piece):]
		if c.judged[piece] {
			continue
		}
		c.judged[piece] = true
		if tells(piece) && !strings.Contains(ownWords(), strings.TrimSpace(piece)) && !strings.Contains(c.own, piece) {
			head := piece[:shortestCanary]
			c.pieces[head] = append(c.pieces[head], piece)
		}
	}
}

// tells reports that a piece is more than a few characters again and again.
func tells(piece string) bool {
	different := map[rune]bool{}
	for _, r := range piece {
		different[r] = true
	}
	return len(different) > 3
}

// in returns the pieces that are in a text, whatever was done to them on the way there.
func (c *Canaries) in(text string) []string {
	var found []string
	for _, form := range forms(text) {
		form = strings.ToLower(form)
		for i := range max(len(form)-shortestCanary+1, 0) {
			for _, piece := range c.pieces[form[i:i+shortestCanary]] {
				if strings.HasPrefix(form[i:], piece) && !slices.Contains(found, piece) {
					found = append(found, piece)
				}
			}
		}
	}
	return found
}

var escapes = strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `&lt;`, "<", `&gt;`, ">", `&#39;`, "'", `&#34;`, `"`, `&quot;`, `"`, `&amp;`, "&")

// forms are a text, and what it says without the escapes of JSON, Go, HTML and URLs.
func forms(text string) []string {
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
		once := escapes.Replace(form)
		add(once)
		add(escapes.Replace(once))
		for _, unescape := range []func(string) (string, error){url.QueryUnescape, url.PathUnescape} {
			if plain, err := unescape(form); err == nil {
				add(plain)
			}
		}
	}
	return all
}

// caught says which canaries are in which source.
func (c *Canaries) caught() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, request := range c.unread {
		all = append(all, "nobody knows what was sent with "+request)
	}
	all = append(all, c.echoed...)
	for _, s := range c.sources {
		said := map[string]bool{}
		for line := range strings.Lines(s.read()) {
			for _, piece := range c.in(strings.TrimSpace(line)) {
				if !said[piece] {
					all = append(all, fmt.Sprintf("the %s holds %q, which a client sent: %.400s", s.name, piece, line))
				}
				said[piece] = true
			}
		}
	}
	return all
}

// eachString calls back with every string in a JSON value, the keys aside that are the API's.
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
	// literals are the strings in a GraphQL document.
	literals = regexp.MustCompile(`"""((?s).*?)"""|"((?:[^"\\\n]|\\.)*)"`)
	// runs are what may be a value in something that is not JSON.
	runs = regexp.MustCompile(`[\w@.+-]{6,}`)
	// plainHeaders hold nothing of the client's that is worth hiding; the ids of a request and of its trace are logged when
	// they are well-formed.
	plainHeaders = []string{"Traceparent", "Content-Type", "Accept", "Accept-Encoding", "Content-Encoding", "Content-Length", "User-Agent", "Origin", "X-Request-Id"}
)

// noteRequest notes everything that a request says.
func (c *Canaries) noteRequest(r *http.Request) {
	if id, ok := strings.CutPrefix(r.URL.Path, "/api/customers/"); ok {
		c.Note(id)
	}
	for pair := range strings.FieldsFuncSeq(r.URL.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		_, value, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(value); err == nil {
			value = plain
		}
		c.Note(value)
	}
	for name, values := range r.Header {
		if slices.Contains(plainHeaders, name) {
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
		c.unread = append(c.unread, r.Method+" "+r.URL.Path)
		return
	}
	c.noteBody(body)
}

// noteBody notes what a body says; of one that is larger than any server reads, what it begins with.
func (c *Canaries) noteBody(body []byte) {
	const most = 64 << 10
	body = body[:min(len(body), most+1)]
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		c.Note(runs.FindAllString(string(body), -1)...)
		return
	}
	eachString(value, func(s string) {
		c.Note(s)
		for _, literal := range literals.FindAllStringSubmatch(s, -1) {
			c.Note(literal[1], literal[2])
		}
	})
}
