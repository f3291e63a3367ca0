package store

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckMediaType(t *testing.T) {
	t.Parallel()
	of := func(contentType string, codings ...string) map[string][]string {
		return map[string][]string{"Content-Type": {contentType}, "Content-Encoding": codings}
	}
	for _, charset := range []string{
		"utf-8", "UTF-8", "Utf-8", "utf8", "UTF8", "utf_8", `"utf-8"`, `"UTF8"`, `" utf-8 "`, "'utf-8'",
		"us-ascii", "US-ASCII", "us_ascii", "ascii", "ASCII", `"us-ascii"`, "ANSI_X3.4-1968",
	} {
		for _, contentType := range []string{
			"application/json;charset=" + charset, "Application/JSON ; Charset=" + charset, "application/json; v=1; charset=" + charset,
		} {
			require.NoError(t, CheckMediaType(of(contentType)), contentType)
		}
	}
	for _, charset := range []string{
		"utf-16", "utf-80", "utf-7", "iso-8859-1", "latin1", "windows-1252", "cp1252", "ascii-8bit", "ansi", `""`, "utf-\u0138", "ｕｔｆ8", "utf8é",
	} {
		require.Equal(t, NewError(UnsupportedType), CheckMediaType(of(`application/json; charset=`+charset)), charset)
	}
	for _, contentType := range []string{"", "text/plain", "application/jsonx", "application/graphql", "application/json, text/plain", "application/json; charset"} {
		require.Equal(t, NewError(UnsupportedType), CheckMediaType(of(contentType, "gzip")), "%q: the first header at fault is reported", contentType)
	}
	twice := map[string][]string{"Content-Type": {"application/json", "application/json"}}
	require.Equal(t, NewError(UnsupportedType), CheckMediaType(twice))
	require.Equal(t, NewError(UnsupportedType), CheckMediaType(nil))

	for _, codings := range [][]string{{"identity"}, {"Identity"}, {" IDENTITY "}, {"identity", "identity"}, {"identity, identity"}, nil} {
		require.NoError(t, CheckMediaType(of("application/json", codings...)), "%q", codings)
	}
	for _, codings := range [][]string{{"gzip"}, {"identity", "gzip"}, {""}, {"identity,"}, {"identity, br"}, {"gzip, identity"}, {"identity;q=1"}, {"x-identity"}} {
		err := CheckMediaType(of("application/json", codings...))
		require.EqualError(t, err, "UNSUPPORTED_MEDIA_TYPE: Content-Encoding must be identity", "%q", codings)
	}
}

func TestBadBody(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", " ", "{", "[1,]", "{}{}", "nul", `"\ud800"`, `{"a":1,"a":2}`, "\xff", `[{"a":1,"a":2}]`} {
		require.EqualError(t, BadBody([]byte(body), OneObject), "BAD_REQUEST: The request body is not valid JSON", body)
	}
	for _, body := range []string{"null", "[]", `[{"email":"a@b.c"}]`, "1", `"x"`, " true\n", "{}"} {
		require.EqualError(t, BadBody([]byte(body), OneObject), "BAD_REQUEST: The request body must be one JSON object", body)
	}
}
