package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"
)

// A cursor is the position of a row in a list, as text that a client sends back:
//
//	base64url( version ‖ sort ‖ direction ‖ digest ‖ length of the id ‖ id ‖ key )
//
// Version 2 adds the time when the list began, between the id and the key: milliseconds since 1970,
// in 8 octets.
//
// A cursor holds the row's full sort key, so it stays valid when the row is gone. The digest covers
// the rest of the cursor and the merchant's id, so a damaged cursor and another merchant's cursor
// are refused. The prefix of the id identifies the noun. A cursor is no secret: a client that makes
// one up gets a position in its own list.
const (
	cursorVersion      = 1
	cursorBeganVersion = 2
	digestSize         = 12
	cursorTime         = "2006-01-02T15:04:05.000000Z07:00"

	// maxCursor is more octets than any cursor has: the longest name key, of 255 characters that
	// NFC decomposes, has 3,060 octets.
	maxCursor = 5120
)

var cursorEncoding = base64.RawURLEncoding.Strict()

// position is the position of a row in a list: the value of the sort's expression, and the id.
type position struct {
	key string // RFC 3339 if the list is sorted by a time
	id  string
	// began is when the list began, to the millisecond. It is zero for a list whose cursors do not
	// carry it.
	began time.Time
}

var directionCodes = map[SortDirection]byte{Ascending: 'a', Descending: 'd'}

func encodeCursor(merchant string, sort order, at position) string {
	head := []byte{cursorVersion, sort.code, directionCodes[sort.direction]}
	body := append([]byte{byte(len(at.id))}, at.id...)
	if !at.began.IsZero() {
		head[0] = cursorBeganVersion
		body = binary.BigEndian.AppendUint64(body, uint64(at.began.UnixMilli()))
	}
	body = append(body, at.key...)
	return cursorEncoding.EncodeToString(bytes.Join([][]byte{head, cursorDigest(merchant, head, body), body}, nil))
}

// decodeCursor returns the position in a cursor of a list of this noun. It returns false unless the
// text is a cursor of this merchant, this order and this noun.
func (n *noun[T]) decodeCursor(merchant string, sort order, cursor string) (position, bool) {
	at, ok := decodeCursor(merchant, sort, cursor)
	return at, ok && n.IsID(at.id)
}

// decodeCursor returns the position in a cursor of a list of any noun. It returns false unless the
// text is a cursor of this merchant and this order.
func decodeCursor(merchant string, sort order, cursor string) (position, bool) {
	if len(cursor) > maxCursor || strings.ContainsAny(cursor, "\r\n") { // base64 skips line breaks
		return position{}, false
	}
	raw, err := cursorEncoding.DecodeString(cursor)
	if err != nil || len(raw) < 3+digestSize+1 {
		return position{}, false
	}
	head, digest, body := raw[:3], raw[3:3+digestSize], raw[3+digestSize:]
	isLegacy := sort.legacy.key != nil && head[1] == sort.legacy.code
	hasBegan := head[0] == cursorBeganVersion
	if !hasBegan && head[0] != cursorVersion || head[1] != sort.code && !isLegacy ||
		head[2] != directionCodes[sort.direction] || !bytes.Equal(digest, cursorDigest(merchant, head, body)) {
		return position{}, false
	}
	idLength := int(body[0])
	if len(body) < 1+idLength {
		return position{}, false
	}
	at := position{id: string(body[1 : 1+idLength])}
	body = body[1+idLength:]
	if hasBegan {
		if len(body) < 8 {
			return position{}, false
		}
		at.began = time.UnixMilli(int64(binary.BigEndian.Uint64(body))).UTC()
		if !isDate(at.began) {
			return position{}, false
		}
		body = body[8:]
	}
	at.key = string(body)
	if isLegacy {
		at.key = sort.legacy.key(at.key, sort.direction)
	}
	return at, at.isReadable(sort)
}

// isReadable reports whether Postgres can read the position. A client can make up a cursor with a
// correct digest and any key.
func (p position) isReadable(sort order) bool {
	switch sort.sqlType {
	case "timestamptz":
		t, err := time.Parse(cursorTime, p.key)
		if err != nil || t.Year() < 1 || t.UTC().Format(cursorTime) != p.key {
			return false
		}
	case "bytea":
		octets, err := hex.DecodeString(strings.TrimPrefix(p.key, `\x`))
		return err == nil && (p.key == "" || p.key == bytea(octets))
	}
	return utf8.ValidString(p.key) && !strings.Contains(p.key, "\x00")
}

func cursorDigest(merchant string, head, body []byte) []byte {
	sum := sha256.New()
	sum.Write([]byte(merchant))
	sum.Write([]byte{0})
	sum.Write(head)
	sum.Write(body)
	return sum.Sum(nil)[:digestSize]
}
