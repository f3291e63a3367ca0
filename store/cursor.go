package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf8"
)

// A cursor is the place of a row in a list, as text that a caller hands back:
//
//	base64url( version ‖ sort ‖ direction ‖ digest ‖ length of the id ‖ id ‖ key )
//
// It holds the row's full key, so it works when the row is gone. The digest is over the rest and the merchant's id: a
// cursor that was damaged, or that another merchant was given, does not match. It is no secret and needs none: whoever
// makes one up gets a place in his own list.
const (
	cursorVersion = 1
	digestSize    = 12
	cursorTime    = "2006-01-02T15:04:05.000000Z07:00"

	// maxCursor is longer than any cursor: the longest name key, of 255 characters that NFC takes apart, has 3,060 octets.
	maxCursor = 5120
)

var cursorEncoding = base64.RawURLEncoding.Strict()

// sortCodes are the bytes that stand for a sort. Once given they are never given to another.
var sortCodes = map[SortField]byte{SortCreatedAt: 'c', SortUpdatedAt: 'u', SortEmail: 'e', SortName: 'n'}

var directionCodes = map[SortDirection]byte{Ascending: 'a', Descending: 'd'}

func encodeCursor(merchant string, sort CustomerSort, at position) string {
	head := []byte{cursorVersion, sortCodes[sort.Field], directionCodes[sort.Direction]}
	body := append([]byte{byte(len(at.id))}, at.id...)
	body = append(body, at.key...)
	return cursorEncoding.EncodeToString(bytes.Join([][]byte{head, cursorDigest(merchant, head, body), body}, nil))
}

// decodeCursor returns the place that a cursor of this merchant and this sort names; false for any other text.
func decodeCursor(merchant string, sort CustomerSort, cursor string) (position, bool) {
	if len(cursor) > maxCursor || strings.ContainsAny(cursor, "\r\n") { // which base64 would skip
		return position{}, false
	}
	raw, err := cursorEncoding.DecodeString(cursor)
	if err != nil || len(raw) < 3+digestSize+1 {
		return position{}, false
	}
	head, digest, body := raw[:3], raw[3:3+digestSize], raw[3+digestSize:]
	want := []byte{cursorVersion, sortCodes[sort.Field], directionCodes[sort.Direction]}
	if !bytes.Equal(head, want) || !bytes.Equal(digest, cursorDigest(merchant, head, body)) {
		return position{}, false
	}
	idLength := int(body[0])
	if len(body) < 1+idLength {
		return position{}, false
	}
	at := position{id: string(body[1 : 1+idLength]), key: string(body[1+idLength:])}
	return at, at.valid(sort)
}

// valid guards Postgres from a cursor that somebody made up with the right digest.
func (p position) valid(sort CustomerSort) bool {
	if sort.Field == SortCreatedAt || sort.Field == SortUpdatedAt {
		t, err := time.Parse(cursorTime, p.key)
		if err != nil || t.Year() < 1 || t.UTC().Format(cursorTime) != p.key {
			return false
		}
	}
	return IsCustomerID(p.id) && utf8.ValidString(p.key) && !bytes.Contains([]byte(p.key), []byte{0})
}

func cursorDigest(merchant string, head, body []byte) []byte {
	sum := sha256.New()
	sum.Write([]byte(merchant))
	sum.Write([]byte{0})
	sum.Write(head)
	sum.Write(body)
	return sum.Sum(nil)[:digestSize]
}
