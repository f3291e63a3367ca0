package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
)

// The outcomes of a framing. The server never executes the hidden request.
const (
	// refused means that net/http refuses the request with the status that follows, in exactly one
	// reply, and ends the connection. No handler sees the request.
	refused400, refused417, refused501, refused505 = "400", "417", "501", "505"
	// closes means exactly one reply, of any status, and then the end of the connection.
	closes = "close"
	// oneFraming means that the server takes the hidden bytes for the request's body and replies to
	// the request behind them, so that there are exactly two replies.
	oneFraming = "one framing"
	// byReading means oneFraming if a handler reads the body, and closes otherwise.
	byReading = "one framing if the body is read, else close"
	// speaksHTTP2 means no reply in HTTP/1. The server reads the rest as frames of HTTP/2, finds
	// none, and ends the connection.
	speaksHTTP2 = "HTTP/2"
)

// framing is a form of request that a proxy and a server may delimit differently.
type framing struct {
	name    string
	line    string // the request line
	fields  string // the fields that delimit the body, after Host, Authorization and Content-Type
	body    string // the bytes between the head and the sentinel
	outcome string
}

// METHOD and TARGET stand for the route, HIDDEN for the hidden request, SIZE and HEX for its length
// in octets. MANY and MORE stand for 150 KB and 1 MB of hidden requests.
const (
	line11, line10 = "METHOD TARGET HTTP/1.1", "METHOD TARGET HTTP/1.0"
	sized          = "Content-Length: SIZE"
	coded          = "Transfer-Encoding: chunked"
	short          = "\r\nContent-Length: 4"
	keepAlive      = "Connection: keep-alive\r\n"
	chunks         = "HEX\r\nHIDDEN\r\n0\r\n\r\n"
	noChunks       = "0\r\n\r\nHIDDEN"
)

// framings lists the framings that clients can send and their outcomes, which are the same on every
// route, with and without a credential.
var framings = []framing{
	// An HTTP/1.1 request with a Content-Length has one framing. The method and unrelated fields do
	// not change it.
	{"a length", line11, sized, "HIDDEN", oneFraming},
	{"a length, keep-alive", line11, keepAlive + sized, "HIDDEN", oneFraming},
	{"a length, close", line11, "Connection: close\r\n" + sized, "HIDDEN", closes},
	{"a length, close in odd case", line11, "Connection: Close\r\n" + sized, "HIDDEN", closes},
	{"a length, keep-alive and close", line11, "Connection: keep-alive, close\r\n" + sized, "HIDDEN", closes},
	{"a length, keep-alive, then close", line11, keepAlive + "Connection: close\r\n" + sized, "HIDDEN", closes},
	{"a length that Connection names", line11, "Connection: Content-Length\r\n" + sized, "HIDDEN", oneFraming},
	{"a length, upgrade to HTTP/2", line11, "Connection: Upgrade\r\nUpgrade: h2c\r\n" + sized, "HIDDEN", oneFraming},
	{"a length, upgrade to h3", line11, "Connection: Upgrade\r\nUpgrade: h3\r\n" + sized, "HIDDEN", oneFraming},
	{"a length in the body of GET", "GET TARGET HTTP/1.1", sized, "HIDDEN", oneFraming},
	{"a length in the body of HEAD", "HEAD TARGET HTTP/1.1", sized, "HIDDEN", oneFraming},
	{"a length in the body of DELETE", "DELETE TARGET HTTP/1.1", sized, "HIDDEN", oneFraming},
	{"a length in the body of OPTIONS", "OPTIONS TARGET HTTP/1.1", sized, "HIDDEN", oneFraming},
	{"a length in the body of TRACE", "TRACE TARGET HTTP/1.1", sized, "HIDDEN", oneFraming},
	{"a length in the body of CONNECT", "CONNECT TARGET HTTP/1.1", sized, "HIDDEN", closes},
	{"a length in the body of CONNECT to a host", "CONNECT other:443 HTTP/1.1", sized, "HIDDEN", closes},
	{"a length in the body of an unknown method", "BREW TARGET HTTP/1.1", sized, "HIDDEN", oneFraming},
	{"an absolute target", "METHOD http://xTARGET HTTP/1.1", sized, "HIDDEN", oneFraming},
	{"an absolute target of another host", "METHOD https://other:8443TARGET HTTP/1.1", sized, "HIDDEN", oneFraming},
	{"a length of a body that no handler reads to its end", line11, "Content-Length: MANYSIZE", "MANY", oneFraming},
	{"a length beyond what the server discards", line11, "Content-Length: MORESIZE", "MORE", closes},
	{"an empty line behind the body", "POST TARGET HTTP/1.1", sized, "HIDDEN\r\n", oneFraming},

	// Fields that net/http accepts although they are not in the standard's form. A recipient that
	// accepts such a length reads the same number.
	{"lines that end with LF alone", line11, "X-H: a\nContent-Length: SIZE\nX-H: b", "HIDDEN", oneFraming},
	{"an empty line that is LF alone", "POST TARGET HTTP/1.1", sized + "\r\n\nHIDDEN", "", oneFraming},
	{"the same length twice", line11, sized + "\r\n" + sized, "HIDDEN", oneFraming},
	{"a length with leading zeros", line11, "Content-Length: 000SIZE", "HIDDEN", oneFraming},
	{"a length without a space", line11, "Content-Length:SIZE", "HIDDEN", oneFraming},
	{"a length among spaces and tabs", line11, "Content-Length: \t SIZE \t", "HIDDEN", oneFraming},
	{"a length in odd case", line11, "cOnTeNt-lEnGtH: SIZE", "HIDDEN", oneFraming},
	{"a length on a folded line", line11, "Content-Length:\r\n SIZE", "HIDDEN", oneFraming},
	{"a folded field in front of a length", line11, "X-H: a\r\n\tb\r\n" + sized, "HIDDEN", oneFraming},
	{"a coding folded into another field", line11, "X-H: a\r\n " + coded + "\r\n" + sized, "HIDDEN", oneFraming},
	{"a line of a space in the head", line11, sized + "\r\n \r\nX-H: a", "HIDDEN", oneFraming},
	{"a coding with an underscore", line11, "Transfer_Encoding: chunked\r\n" + sized, "HIDDEN", oneFraming},

	// Lengths that net/http refuses.
	{"two lengths", line11, "Content-Length: 5\r\n" + sized, "HIDDEN", refused400},
	{"two equal lengths in one field", line11, "Content-Length: 5, 5", noChunks, refused400},
	{"a length with a sign", line11, "Content-Length: +SIZE", "HIDDEN", refused400},
	{"a length below zero", line11, "Content-Length: -1", "HIDDEN", refused400},
	{"a length in hexadecimal", line11, "Content-Length: 0xHEX", "HIDDEN", refused400},
	{"a length with an underscore", line11, "Content-Length: 1_0", "HIDDEN", refused400},
	{"an empty length", line11, "Content-Length:", "HIDDEN", refused400},
	{"a length that overflows", line11, "Content-Length: 99999999999999999999", "HIDDEN", refused400},
	{"a length with a vertical tab", line11, "Content-Length: \vSIZE", "HIDDEN", refused400},
	{"a length behind a space", line11, "Content-Length : SIZE", "HIDDEN", refused400},
	{"a length in a field with a NUL", line11, "Content-Length\x00: SIZE", "HIDDEN", refused400},
	{"a length behind CR alone", line11, "X-H: a\rContent-Length: 5\r\n" + sized, "HIDDEN", refused400},
	{"a length behind CR CR LF", line11, "X-H: a\r\r\n" + sized, "HIDDEN", refused400},
	{"a length in a field without a colon", line11, "Content-Length SIZE", "HIDDEN", refused400},
	{"a fold in front of the fields", line11 + "\r\n X-H: a", sized, "HIDDEN", refused400},
	{"two hosts", line11, "Host: y\r\n" + sized, "HIDDEN", refused400},

	// A transfer coding in HTTP/1.1, with or without a length, ends the connection.
	{"chunks", line11, coded, chunks, closes},
	{"chunks, keep-alive", line11, keepAlive + coded, chunks, closes},
	{"chunks in the body of GET", "GET TARGET HTTP/1.1", coded, chunks, closes},
	{"chunks in the body of HEAD", "HEAD TARGET HTTP/1.1", coded, chunks, closes},
	{"chunks in the body of DELETE", "DELETE TARGET HTTP/1.1", coded, chunks, closes},
	{"chunks to an absolute target", "METHOD http://xTARGET HTTP/1.1", coded, chunks, closes},
	{"no chunks, a request behind them", line11, coded, noChunks, closes},
	{"a length over chunks", line11, sized + "\r\n" + coded, noChunks, closes},
	{"chunks over a short length", line11, coded + short, chunks, closes},
	{"chunks over the same length twice", line11, coded + "\r\nContent-Length: 4" + short, chunks, closes},
	{"a coding that Connection names", line11, "Connection: Transfer-Encoding\r\n" + coded + short, chunks, closes},
	{"a coding in odd case", line11, "tRANSFER-eNCODING: ChUnKeD" + short, chunks, closes},
	{"a coding without a space", line11, "Transfer-Encoding:chunked" + short, chunks, closes},
	{"a coding among spaces and tabs", line11, "Transfer-Encoding: \tchunked \t" + short, chunks, closes},
	{"a coding on a folded line", line11, "Transfer-Encoding:\r\n\tchunked" + short, chunks, closes},
	{"a coding on a line that ends with LF alone", line11, "Content-Length: 4\n" + coded + "\nX-H: a", chunks, closes},
	{"an extension of a chunk", line11, coded, "HEX;a=\"b\"\r\nHIDDEN\r\n0;c\r\n\r\n", closes},
	{"an extension with LF alone", line11, coded, "1;a\nHEX\r\nHIDDEN\r\n0\r\n\r\n", closes},
	{"a chunk's size behind zeros", line11, coded, "0000HEX\r\nHIDDEN\r\n000\r\n\r\n", closes},
	{"a chunk's size in front of a space", line11, coded, "HEX \r\nHIDDEN\r\n0 \r\n\r\n", closes},
	{"a chunk's size with 0x", line11, coded, "0xHEX\r\nHIDDEN\r\n0\r\n\r\n", closes},
	{"a chunk's size with LF alone", line11, coded, "HEX\nHIDDEN\n0\n\n", closes},
	{"a chunk's size that overflows", line11, coded, "10000000000000001\r\n" + noChunks, closes},
	{"a chunk longer than its size", line11, coded, "1\r\nHIDDEN\r\n0\r\n\r\n", closes},
	{"a chunk without its line end", line11, coded, "2\r\n{}" + noChunks, closes},
	{"a trailer", line11, coded + "\r\nTrailer: X-T", "0\r\nX-T: a\r\n\r\nHIDDEN", closes},
	{"a length as a trailer", line11, coded, "0\r\nContent-Length: SIZE\r\n\r\nHIDDEN", closes},
	{"a trailer with LF alone", line11, coded, "0\r\nX-T: a\n\nHIDDEN", closes},
	{"no line end behind the chunks", line11, coded, "0\r\nHIDDEN", closes},

	// Transfer codings that net/http refuses.
	{"a length announced as a trailer", line11, coded + "\r\nTrailer: Content-Length", noChunks, refused400},
	{"a coding behind a space", line11, "Transfer-Encoding : chunked\r\nContent-Length: 5", noChunks, refused400},
	{"a coding behind a tab", line11, "Transfer-Encoding\t: chunked\r\nContent-Length: 5", noChunks, refused400},
	{"a coding with a vertical tab", line11, "Transfer-Encoding: \vchunked\r\nContent-Length: 5", noChunks, refused400},
	{"chunks over an invalid length", line11, coded + "\r\nContent-Length: 5, 5", noChunks, refused400},
	{"a coding with a parameter", line11, "Transfer-Encoding: chunked;q=1\r\nContent-Length: 5", noChunks, refused501},
	{"a coding with a comma", line11, "Transfer-Encoding: chunked,\r\nContent-Length: 5", noChunks, refused501},
	{"a coding in quotes", line11, "Transfer-Encoding: \"chunked\"\r\nContent-Length: 5", noChunks, refused501},
	{"chunked twice", line11, coded + "\r\n" + coded, noChunks, refused501},
	{"chunked twice in one field", line11, "Transfer-Encoding: chunked, chunked", noChunks, refused501},
	{"chunked and identity", line11, coded + "\r\nTransfer-Encoding: identity\r\nContent-Length: 5", noChunks, refused501},
	{"identity", line11, "Transfer-Encoding: identity\r\n" + sized, "HIDDEN", refused501},
	{"gzip and chunked", line11, "Transfer-Encoding: gzip, chunked", noChunks, refused501},
	{"a coding that is unknown", line11, "Transfer-Encoding: xchunked\r\nContent-Length: 5", noChunks, refused501},
	{"an empty coding", line11, "Transfer-Encoding:\r\nContent-Length: 5", noChunks, refused501},

	// Expectations.
	{"an expectation", line11, "Expect: 100-continue\r\n" + sized, "HIDDEN", byReading},
	{"an expectation in odd case", line11, "Expect: 100-Continue\r\n" + sized, "HIDDEN", byReading},
	{"an expectation with chunks", line11, "Expect: 100-continue\r\n" + coded, chunks, closes},
	{"an expectation of GET", "GET TARGET HTTP/1.1", "Expect: 100-continue\r\n" + sized, "HIDDEN", closes},
	{"an expectation that is unknown", line11, "Expect: 200-ok\r\n" + sized, "HIDDEN", refused417},
	{"an expectation in HTTP/1.0", line10, keepAlive + "Expect: 100-continue\r\n" + sized, "HIDDEN", closes},

	// Every HTTP/1.0 request ends its connection, since net/http ignores a transfer coding that a
	// proxy may have obeyed.
	{"1.0", line10, "X-H: a", "HIDDEN", closes},
	{"1.0 and a length", line10, sized, "HIDDEN", closes},
	{"1.0, keep-alive", line10, "Connection: keep-alive", "HIDDEN", closes},
	{"1.0, keep-alive and a length", line10, keepAlive + sized, "HIDDEN", closes},
	{"1.0, keep-alive and no body", line10, keepAlive + "Content-Length: 0", "HIDDEN", closes},
	{"1.0, keep-alive in odd case", line10, "Connection: Keep-Alive\r\n" + sized, "HIDDEN", closes},
	{"1.0, keep-alive and its parameters", line10, keepAlive + "Keep-Alive: timeout=60\r\n" + sized, "HIDDEN", closes},
	{"1.0, the parameters of keep-alive alone", line10, "Keep-Alive: timeout=60\r\n" + sized, "HIDDEN", closes},
	{"1.0, keep-alive and close", line10, "Connection: keep-alive, close\r\n" + sized, "HIDDEN", closes},
	{"1.0, keep-alive to a proxy", line10, "Proxy-Connection: keep-alive\r\n" + sized, "HIDDEN", closes},
	{"1.0, keep-alive and chunks", line10, keepAlive + coded, chunks, closes},
	{"1.0, keep-alive and chunks over a short length", line10, keepAlive + coded + short, chunks, closes},
	{"1.0, keep-alive and a length over chunks", line10, keepAlive + sized + "\r\n" + coded, noChunks, closes},
	{"1.0, keep-alive and two codings", line10, keepAlive + coded + "\r\n" + coded + short, chunks, closes},
	{"1.0, keep-alive and an unknown coding", line10, keepAlive + "Transfer-Encoding: x" + short, chunks, closes},
	{"1.0, keep-alive and LF alone", line10, "Connection: keep-alive\nContent-Length: 4\nX-H: a", chunks, closes},
	{"1.0, keep-alive and the same length twice", line10, keepAlive + sized + "\r\n" + sized, "HIDDEN", closes},
	{"1.0, keep-alive and a folded coding", line10, keepAlive + "Transfer-Encoding:\r\n chunked" + short, chunks, closes},
	{"1.0, keep-alive and GET", "GET TARGET HTTP/1.0", keepAlive + coded + short, chunks, closes},
	{"1.0, keep-alive and HEAD", "HEAD TARGET HTTP/1.0", keepAlive + coded + short, chunks, closes},
	{"1.0, keep-alive and DELETE", "DELETE TARGET HTTP/1.0", keepAlive + coded + short, chunks, closes},
	{"1.0, keep-alive to an absolute target", "METHOD http://xTARGET HTTP/1.0", keepAlive + sized, "HIDDEN", closes},
	{"1.0, keep-alive and two lengths", line10, keepAlive + "Content-Length: 5\r\n" + sized, "HIDDEN", refused400},
	{"1.0, keep-alive and two lengths in one field", line10, keepAlive + "Content-Length: 5, 5", noChunks, refused400},

	// Other versions. They all end the connection.
	{"1.2", "METHOD TARGET HTTP/1.2", keepAlive + sized, "HIDDEN", closes},
	{"1.9 and chunks over a short length", "METHOD TARGET HTTP/1.9", coded + short, chunks, closes},
	{"HTTP/2's first line", "PRI * HTTP/2.0", sized, "HIDDEN", closes},
	{"HTTP/2's first line, keep-alive", "PRI * HTTP/2.0", keepAlive + sized, "HIDDEN", closes},
	{"HTTP/2's first line and chunks", "PRI * HTTP/2.0", coded + short, chunks, closes},
	{"HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n", sized, "HIDDEN", speaksHTTP2},
	{"HTTP/2's first line, a request", "PRI * HTTP/2.0\r\n\r\nHIDDENMETHOD TARGET HTTP/1.1", sized, "HIDDEN", closes},
	{"HTTP/2's first line on a path", "PRI /TARGET HTTP/2.0", sized, "HIDDEN", refused505},
	{"2.0", "METHOD TARGET HTTP/2.0", sized, "HIDDEN", refused505},
	{"0.9 that says so", "METHOD TARGET HTTP/0.9", sized, "HIDDEN", refused505},
	{"0.9", "METHOD TARGET", sized, "HIDDEN", refused400},
	{"a version in small letters", "METHOD TARGET http/1.1", sized, "HIDDEN", refused400},
	{"a version of two digits", "METHOD TARGET HTTP/1.10", sized, "HIDDEN", refused400},
	{"a space behind the version", "METHOD TARGET HTTP/1.1 ", sized, "HIDDEN", refused400},
	{"two spaces in the request line", "METHOD  TARGET HTTP/1.1", sized, "HIDDEN", refused400},
	{"tabs in the request line", "METHOD\tTARGET\tHTTP/1.1", sized, "HIDDEN", refused400},
	{"a space in the target", "METHOD TARGET TARGET HTTP/1.1", sized, "HIDDEN", refused400},
	{"an empty line in front of the request", "\r\nMETHOD TARGET HTTP/1.1", sized, "HIDDEN", refused400},
	{"LF alone in front of the request", "\nMETHOD TARGET HTTP/1.1", sized, "HIDDEN", refused400},
}

// exchange is one framing sent to one route.
type exchange struct {
	framing
	url   string // the listener's
	route string // the method that METHOD stands for, and the target
	key   string // the credential; "" for none
}

// sentinel is the request after the one with the framing. It ends the connection.
const (
	sentinel      = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	sentinelReply = `{"status":"ok"}`
)

// bytes returns the request, which contains the hidden one, followed by the sentinel.
func (e exchange) bytes(hidden string) string {
	method, target, _ := strings.Cut(e.route, " ")
	credential := ""
	if e.key != "" {
		credential = "Authorization: Bearer KEY\r\n"
	}
	head := e.line + "\r\nHost: x\r\n" + credential + "Content-Type: application/json\r\n" + e.fields + "\r\n\r\n"
	if strings.Contains(e.fields, "\n") && !strings.Contains(e.fields, "\r\n") {
		head = strings.ReplaceAll(head, "\r\n", "\n")
	}
	repeated := func(name string, size int) string { // it takes long, and few requests have one
		if !strings.Contains(e.fields+e.body, name) {
			return ""
		}
		return strings.Repeat(hidden, size/len(hidden))
	}
	many, more := repeated("MANY", 150_000), repeated("MORE", 1_000_000)
	return strings.NewReplacer("METHOD", method, "TARGET", target, "KEY", e.key,
		"HIDDEN", hidden, "SIZE", strconv.Itoa(len(hidden)), "HEX", strconv.FormatInt(int64(len(hidden)), 16),
		"MANYSIZE", strconv.Itoa(len(many)), "MANY", many, "MORESIZE", strconv.Itoa(len(more)), "MORE", more,
	).Replace(head+e.body) + sentinel
}

// finalStatus matches the status line of a reply except for interim ones (100 Continue).
var finalStatus = regexp.MustCompile(`HTTP/1\.[01] ([2-5][0-9][0-9]) `)

// replies sends bytes and returns the status of each reply and all bytes that the server sent until
// it ended the connection. It returns an error if the server does not end the connection.
func replies(url, request string) (statuses []string, all string, err error) {
	connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(10 * atOnce)); err != nil {
		return nil, "", err
	}
	go func() { _, _ = io.WriteString(connection, request) }() // a server that refuses it early does not read it all
	sent, err := io.ReadAll(connection)
	for _, match := range finalStatus.FindAllStringSubmatch(string(sent), -1) {
		statuses = append(statuses, match[1])
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return statuses, string(sent), errors.New("the connection did not end")
	}
	return statuses, string(sent), nil // a reset counts as an end
}

// check sends the exchange and returns a message if its outcome differs from the expected one, or
// "".
func (e exchange) check(hidden string) string {
	statuses, all, err := replies(e.url, e.bytes(hidden))
	ends := len(statuses) == 1
	staysOpen := len(statuses) == 2 && statuses[1] == "200" && strings.HasSuffix(all, sentinelReply)
	var met bool
	switch e.outcome {
	case closes:
		met = ends
	case oneFraming:
		met = staysOpen || ends && strings.HasSuffix(e.route, " *") // net/http's router refuses it and closes
	case byReading:
		met = staysOpen || ends
	case speaksHTTP2:
		met = len(statuses) == 0
	default:
		met = ends && statuses[0] == e.outcome
	}
	if met && err == nil {
		return ""
	}
	return fmt.Sprintf("%s, %s%s, credential %t: want %s, got the replies %v, %v:\n%.600q",
		e.name, e.url, e.route, e.key != "", e.outcome, statuses, err, all)
}

// allRoutes returns every route of the public and the private listener, and one that neither
// serves. The ids in the paths do not exist, so that the requests themselves change nothing.
func allRoutes(t *testing.T, d *harness.Server) (public, private []string) {
	t.Helper()
	public = []string{
		"POST /", "POST /graphql", "POST /api/customers", "POST /api/customers/cust_00000000000000000000000000",
		"POST /api/access-tokens", "GET /.well-known/jwks.json", "GET /docs", "GET /openapi.yaml", "GET /openapi.json",
		"GET /schema.graphql", "GET /playground", "GET /healthz", "GET /readyz", "OPTIONS *", "POST /unknown",
	}
	for page, asset := range map[string]*regexp.Regexp{
		"/": regexp.MustCompile(`"(/assets/[^"]+)"`), "/docs": regexp.MustCompile(`"(/docs/assets/[^"]+)"`),
		"/playground": regexp.MustCompile(`"(/playground/assets/[^"]+)"`),
	} {
		found := asset.FindStringSubmatch(d.Send(t, "", "GET", page, "").Body)
		require.NotNil(t, found, page)
		public = append(public, "GET "+found[1])
	}
	private = []string{"GET /metrics", "GET /healthz", "GET /readyz", "GET /debug/pprof/", "OPTIONS *", "POST /unknown"}
	return public, private
}

// TestAmbiguousFramings sends requests whose end a proxy and the server may see at different bytes,
// with a DELETE hidden in the body (request smuggling). Each must have the outcome of the table on
// every route, and the server must never execute the hidden request.
func TestAmbiguousFramings(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, "--playground")
	m := d.Merchant(t, "Framed")
	hiddenDelete := func(id string) string {
		return "DELETE /api/customers/" + id + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " +
			string(m.WriteKey) + "\r\n\r\n"
	}
	// Control: behind a request that has ended, the server executes the same DELETE.
	notHidden := "GET / HTTP/1.1\r\nHost: x\r\n\r\n" + hiddenDelete(d.Create(t, m, `{"email":"open@x.io"}`)) + sentinel
	statuses, all, err := replies(d.URL, notHidden)
	require.NoError(t, err)
	require.Equal(t, []string{"200", "200", "200"}, statuses, all)

	target := d.Create(t, m, `{"email":"target@x.io"}`)
	before := storedRows(t, d, m)
	hidden := hiddenDelete(target)
	public, private := allRoutes(t, d)
	exchanges := make(chan exchange)
	var working sync.WaitGroup
	for range 32 { // some wait half a second for the server to end the connection
		working.Go(func() {
			for e := range exchanges {
				if wrong := e.check(hidden); wrong != "" {
					t.Error(wrong)
				}
			}
		})
	}
	count := map[string]int{}
	for _, f := range framings {
		count[f.outcome]++
		for _, key := range []string{"", string(m.WriteKey)} {
			for url, routes := range map[string][]string{d.URL: public, d.PrivateURL: private} {
				for _, route := range routes {
					exchanges <- exchange{framing: f, url: url, route: route, key: key}
				}
			}
		}
	}
	close(exchanges)
	working.Wait()
	t.Logf("%d framings: %v", len(framings), count)
	require.Equal(t, before, storedRows(t, d, m))
	require.Equal(t, 200, d.Send(t, m.ReadKey, "GET", "/api/customers/"+target, "").Status, "the customer must still exist")
}
