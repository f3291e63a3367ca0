package store

import (
	"mime"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// CheckMediaType returns nil when the headers of a request, by canonical names, declare its body as
// JSON that is not encoded, in UTF-8 or US-ASCII if they name a charset. Else it returns an
// UnsupportedType that names the header at fault.
func CheckMediaType(header map[string][]string) error {
	if !isJSON(header["Content-Type"]) {
		return NewError(UnsupportedType)
	}
	for _, codings := range header["Content-Encoding"] {
		for coding := range strings.SplitSeq(codings, ",") {
			if !strings.EqualFold(strings.TrimSpace(coding), "identity") {
				err := NewError(UnsupportedType)
				err.Message = "Content-Encoding must be identity"
				return err
			}
		}
	}
	return nil
}

func isJSON(contentTypes []string) bool {
	if len(contentTypes) != 1 {
		return false
	}
	mediaType, parameters, err := mime.ParseMediaType(contentTypes[0])
	if err != nil || mediaType != "application/json" {
		return false
	}
	charset, present := parameters["charset"]
	return !present || charsets[strings.Map(letterOrDigit, charset)]
}

// charsets are the names of UTF-8 and of US-ASCII, which is a part of it, without case and
// punctuation.
var charsets = map[string]bool{"utf8": true, "usascii": true, "ascii": true, "ansix341968": true}

// letterOrDigit is for strings.Map. It lowers ASCII letters, keeps digits and drops ASCII
// punctuation.
func letterOrDigit(c rune) rune {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c > '~':
		return c
	}
	return -1
}

// BadBody returns the BadRequest for a body that could not be read. form says what a body that is
// JSON, but of another shape, must be.
func BadBody(body []byte, form string) *Error {
	err := NewError(BadRequest)
	if jsontext.Value(body).IsValid() {
		err.Message = form
	}
	return err
}

// OneObject is the form of a body, for BadBody.
const OneObject = "The request body must be one JSON object"
