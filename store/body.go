package store

import (
	"mime"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// CheckMediaType checks the Content-Type and Content-Encoding of a request, whose header is keyed
// by canonical names. The body must be JSON without a content encoding; a charset, if given, must
// be UTF-8 or US-ASCII. The error is an UnsupportedType that names the header at fault.
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

// charsets are the names of UTF-8, and of its subset US-ASCII, in lower case without punctuation.
var charsets = map[string]bool{"utf8": true, "usascii": true, "ascii": true, "ansix341968": true}

// letterOrDigit is a mapping for strings.Map. It lowers ASCII letters and drops ASCII punctuation.
func letterOrDigit(c rune) rune {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c > '~':
		return c
	}
	return -1
}

// BadBody returns the BadRequest for a body that could not be read. form is its message when the
// body is valid JSON of the wrong shape.
func BadBody(body []byte, form string) *Error {
	err := NewError(BadRequest)
	if jsontext.Value(body).IsValid() {
		err.Message = form
	}
	return err
}

// OneObject is the form, for BadBody, of a body that must be a JSON object.
const OneObject = "The request body must be one JSON object"
