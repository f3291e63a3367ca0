package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store"
	"lumen/store/storetest"
)

// rule is one case that both APIs must decide alike. The operation is applied to the first of the
// rows.
type rule struct {
	name string
	rows []string // inputs of the existing customers; a leading "-" deletes the customer
	do   string   // create, update, get, delete, list
	id   string   // replaces the id of the first row
	in   string   // the input, or the filter of a list with GraphQL's names
	want outcome
	// stored are the merchant's rows afterwards, in the order of their creation; nil means
	// unchanged.
	stored []string
	// types means that GraphQL's types refuse the input before it reaches the store.
	types bool
}

// outcome is a reply in a form that is the same for both APIs.
type outcome struct {
	code, text string
	details    string   // "field CODE, field CODE"
	customers  []string // each in the form of storedRows, with the columns that a reply contains
}

// refusal returns the outcome of an error with the store's message for its code.
func refusal(code store.Code, details ...string) outcome {
	return outcome{code: string(code), text: store.NounOf[store.Customer]().NewError(code).Message, details: strings.Join(details, ", ")}
}

// shows returns the outcome of a reply with these customers.
func shows(customers ...string) outcome { return outcome{customers: customers} }

var takenByAnother = outcome{code: "EMAIL_TAKEN", text: "Another customer with this email already exists. Use dangerouslyAllowSameEmailForDifferentCustomers to allow."}

const flagged = `,"dangerouslyAllowSameEmailForDifferentCustomers":true}`

var (
	x64  = strings.Repeat("x", 64)
	x255 = strings.Repeat("x", 255)
	// An address of 254 octets: a local part of 62, and labels of at most 63.
	longEmail = strings.Repeat("l", 62) + "@" + strings.Repeat("d", 63) + "." + strings.Repeat("e", 63) + "." + strings.Repeat("f", 59) + ".com"
)

// rules is the table of rules. Rows are written in the form of storedRows.
var rules = []rule{
	// Uniqueness.
	{name: "an address in another case is taken", rows: []string{`{"email":"a@x.io"}`}, do: "create", in: `{"email":"A@X.IO"}`, want: refusal(store.EmailTaken)},
	{name: "an address in another composition is taken", rows: []string{`{"email":"jos\u00e9@x.io"}`}, do: "create", in: `{"email":"JOSE\u0301@x.io"}`, want: refusal(store.EmailTaken)},
	{name: "a domain in its ASCII form is taken", rows: []string{`{"email":"a@m\u00fcnchen.de"}`}, do: "create", in: `{"email":"a@XN--MNCHEN-3YA.de"}`, want: refusal(store.EmailTaken)},
	{name: "the own address on update", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"email":"a@x.io"}`, want: shows("a@x.io")},
	{name: "the own address in another case is stored", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"email":"A@x.IO"}`, want: shows("A@x.IO"), stored: []string{"A@x.IO moved"}},
	{name: "the own address in another case while another customer shares it", rows: []string{`{"email":"a@x.io"}`, `{"email":"a@x.io"` + flagged}, do: "update", in: `{"email":"A@x.io"}`, want: shows("A@x.io"), stored: []string{"A@x.io moved", "a@x.io shared"}},
	{name: "another customer's address on update", rows: []string{`{"email":"a@x.io"}`, `{"email":"b@x.io"}`}, do: "update", in: `{"email":"B@X.io"}`, want: takenByAnother},
	{name: "an update to a taken address writes no other field", rows: []string{`{"email":"a@x.io"}`, `{"email":"b@x.io"}`}, do: "update", in: `{"email":"b@x.io","name":"New"}`, want: takenByAnother},
	{name: "a flagged duplicate on create", rows: []string{`{"email":"a@x.io"}`}, do: "create", in: `{"email":"A@x.io"` + flagged, want: shows("A@x.io shared"), stored: []string{"a@x.io", "A@x.io shared"}},
	{name: "a flagged duplicate on update", rows: []string{`{"email":"a@x.io"}`, `{"email":"b@x.io"}`}, do: "update", in: `{"email":"b@x.io"` + flagged, want: shows("b@x.io shared"), stored: []string{"b@x.io shared moved", "b@x.io"}},
	{name: "the flag on a free address marks it as shared", do: "create", in: `{"email":"a@x.io"` + flagged, want: shows("a@x.io shared"), stored: []string{"a@x.io shared"}},
	{name: "the flag without a changed address does nothing", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"name":"N"` + flagged, want: shows("a@x.io name=N"), stored: []string{"a@x.io name=N moved"}},
	{name: "the flag with the own address does nothing", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"email":"A@x.io"` + flagged, want: shows("A@x.io"), stored: []string{"A@x.io moved"}},
	{name: "the flag alone changes nothing", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"dangerouslyAllowSameEmailForDifferentCustomers":true}`, want: shows("a@x.io")},
	{name: "an address that only a flagged customer holds is taken", rows: []string{`{"email":"a@x.io"` + flagged}, do: "create", in: `{"email":"a@x.io"}`, want: refusal(store.EmailTaken)},
	{name: "a new address without the flag removes the mark", rows: []string{`{"email":"a@x.io"` + flagged}, do: "update", in: `{"email":"b@x.io"}`, want: shows("b@x.io"), stored: []string{"b@x.io moved"}},
	{name: "the flag set to false", rows: []string{`{"email":"a@x.io"}`}, do: "create", in: `{"email":"a@x.io","dangerouslyAllowSameEmailForDifferentCustomers":false}`, want: refusal(store.EmailTaken)},
	{name: "the flag set to null counts as absent", rows: []string{`{"email":"a@x.io"}`}, do: "create", in: `{"email":"a@x.io","dangerouslyAllowSameEmailForDifferentCustomers":null}`, want: refusal(store.EmailTaken)},
	{name: "the flag set to null on update", rows: []string{`{"email":"a@x.io"}`, `{"email":"b@x.io"}`}, do: "update", in: `{"email":"b@x.io","dangerouslyAllowSameEmailForDifferentCustomers":null}`, want: takenByAnother},
	{name: "a deleted customer's address is free on create", rows: []string{`-{"email":"a@x.io"}`}, do: "create", in: `{"email":"a@x.io"}`, want: shows("a@x.io"), stored: []string{"a@x.io deleted", "a@x.io"}},
	{name: "a deleted customer's address is free on update", rows: []string{`{"email":"b@x.io"}`, `-{"email":"a@x.io"}`}, do: "update", in: `{"email":"a@x.io"}`, want: shows("a@x.io"), stored: []string{"a@x.io moved", "a@x.io deleted"}},

	// Presence.
	{name: "all fields", do: "create", in: `{"email":"a@x.io","name":"N","userId":"U","billingAddressLine1":"L1","billingAddressLine2":"L2","billingCity":"C","billingPostalCode":"P","billingCountry":"US","taxId":"T"}`,
		want: shows("a@x.io name=N user_id=U line1=L1 line2=L2 city=C postal=P country=US tax=T"), stored: []string{"a@x.io name=N user_id=U line1=L1 line2=L2 city=C postal=P country=US tax=T"}},
	{name: "null in every optional field", do: "create", in: `{"email":"a@x.io","name":null,"userId":null,"billingAddressLine1":null,"billingAddressLine2":null,"billingCity":null,"billingPostalCode":null,"billingCountry":null,"taxId":null}`,
		want: shows("a@x.io"), stored: []string{"a@x.io"}},
	{name: "empty and blank texts are stored as null", do: "create", in: `{"email":"a@x.io","name":"","userId":" ","billingAddressLine1":"\t","billingAddressLine2":"\n","billingCity":"\u00a0","billingPostalCode":"\u3000","billingCountry":" ","taxId":""}`,
		want: shows("a@x.io"), stored: []string{"a@x.io"}},
	{name: "absent fields keep their values", rows: []string{`{"email":"a@x.io","name":"N","userId":"U","taxId":"T","billingCountry":"US"}`}, do: "update", in: `{"name":"M"}`, want: shows("a@x.io name=M user_id=U country=US tax=T"), stored: []string{"a@x.io name=M user_id=U country=US tax=T moved"}},
	{name: "null clears every optional field", rows: []string{`{"email":"a@x.io","name":"N","userId":"U","billingAddressLine1":"L1","billingAddressLine2":"L2","billingCity":"C","billingPostalCode":"P","billingCountry":"US","taxId":"T"}`}, do: "update",
		in:   `{"name":null,"userId":null,"billingAddressLine1":null,"billingAddressLine2":null,"billingCity":null,"billingPostalCode":null,"billingCountry":null,"taxId":null}`,
		want: shows("a@x.io"), stored: []string{"a@x.io moved"}},
	{name: "empty and blank texts clear every optional field", rows: []string{`{"email":"a@x.io","name":"N","userId":"U","billingAddressLine1":"L1","billingAddressLine2":"L2","billingCity":"C","billingPostalCode":"P","billingCountry":"US","taxId":"T"}`}, do: "update",
		in:   `{"name":"","userId":" ","billingAddressLine1":"\t","billingAddressLine2":"\r\n","billingCity":"\u00a0","billingPostalCode":"\u3000","billingCountry":"\u2028","taxId":""}`,
		want: shows("a@x.io"), stored: []string{"a@x.io moved"}},
	{name: "an empty update changes nothing", rows: []string{`{"email":"a@x.io","name":"N"}`}, do: "update", in: `{}`, want: shows("a@x.io name=N")},
	{name: "an update to the same values changes nothing", rows: []string{`{"email":"a@x.io","name":"N"}`}, do: "update", in: `{"email":"a@x.io","name":" N ","userId":null}`, want: shows("a@x.io name=N")},
	{name: "white space around a value is trimmed", do: "create", in: `{"email":" a@x.io\u2003","name":"\tA  B\n"}`, want: shows("a@x.io name=A  B"), stored: []string{"a@x.io name=A  B"}},

	// The email.
	{name: "no email", do: "create", in: `{"name":"N"}`, want: refusal(store.EmailRequired), types: true},
	{name: "null email", do: "create", in: `{"email":null}`, want: refusal(store.EmailRequired), types: true},
	{name: "empty email", do: "create", in: `{"email":""}`, want: refusal(store.EmailRequired)},
	{name: "blank email", do: "create", in: `{"email":" \u00a0"}`, want: refusal(store.EmailRequired)},
	{name: "a missing email is reported before other faults", do: "create", in: `{"email":"","billingCountry":"XX"}`, want: refusal(store.EmailRequired)},
	{name: "null email on update", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"email":null}`, want: refusal(store.EmailRequired)},
	{name: "empty email on update", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"email":"","name":"N"}`, want: refusal(store.EmailRequired)},
	{name: "blank email on update", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"email":"\t"}`, want: refusal(store.EmailRequired)},
	{name: "letter case is kept", do: "create", in: `{"email":"Ada.Lovelace@Example.COM"}`, want: shows("Ada.Lovelace@Example.COM"), stored: []string{"Ada.Lovelace@Example.COM"}},
	{name: "plus tags, symbols and UTF-8", do: "create", in: `{"email":"\u674e+!#$%&'*/=?^_{|}~-@\u4f8b\u5b50.example"}`, want: shows("李+!#$%&'*/=?^_{|}~-@例子.example"), stored: []string{"李+!#$%&'*/=?^_{|}~-@例子.example"}},
	{name: "an address of 254 octets", do: "create", in: `{"email":"` + longEmail + `"}`, want: shows(longEmail), stored: []string{longEmail}},
	{name: "an address of 255 octets", do: "create", in: `{"email":"l` + longEmail + `"}`, want: refusal(store.InvalidInput, "email TOO_LONG")},
	{name: "no at sign", do: "create", in: `{"email":"a.x.io"}`, want: refusal(store.InvalidInput, "email INVALID_FORMAT")},
	{name: "two at signs", do: "create", in: `{"email":"a@b@x.io"}`, want: refusal(store.InvalidInput, "email INVALID_FORMAT")},
	{name: "one label", do: "create", in: `{"email":"a@localhost"}`, want: refusal(store.InvalidInput, "email INVALID_FORMAT")},
	{name: "a trailing dot", do: "create", in: `{"email":"a@x.io."}`, want: refusal(store.InvalidInput, "email INVALID_FORMAT")},
	{name: "two dots", do: "create", in: `{"email":"a..b@x.io"}`, want: shows("a..b@x.io"), stored: []string{"a..b@x.io"}},
	{name: "only dots", do: "create", in: `{"email":"..@x.io"}`, want: refusal(store.InvalidInput, "email INVALID_FORMAT")},
	{name: "a quoted local part", do: "create", in: `{"email":"\"a b\"@x.io"}`, want: shows(`"a b"@x.io`), stored: []string{`"a b"@x.io`}},
	{name: "unnecessary quotes", rows: []string{`{"email":"a.b@x.io"}`}, do: "create", in: `{"email":"\"A.b\"@x.io"}`, want: refusal(store.EmailTaken)},
	{name: "a last label of digits", do: "create", in: `{"email":"a@127.0.0.1"}`, want: refusal(store.InvalidInput, "email INVALID_FORMAT")},
	{name: "sharp s in a domain", rows: []string{`{"email":"max@strasse.example"}`}, do: "create", in: `{"email":"max@straße.example"}`, want: shows("max@straße.example"), stored: []string{"max@strasse.example", "max@straße.example"}},
	{name: "an invisible character", do: "create", in: `{"email":"a\u034f@x.io"}`, want: refusal(store.InvalidInput, "email FORBIDDEN_CHARACTER")},
	{name: "an email of invisible characters", do: "create", in: `{"email":"\u3164"}`, want: refusal(store.EmailRequired)},
	{name: "an IP literal", do: "create", in: `{"email":"a@[127.0.0.1]"}`, want: refusal(store.InvalidInput, "email INVALID_FORMAT")},
	{name: "a space inside", do: "create", in: `{"email":"a b@x.io"}`, want: refusal(store.InvalidInput, "email INVALID_FORMAT")},
	{name: "an injected header", do: "create", in: `{"email":"a@x.io\r\nBcc: b@x.io"}`, want: refusal(store.InvalidInput, "email FORBIDDEN_CHARACTER")},
	{name: "a direction override in the email", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"email":"a\u202e@x.io"}`, want: refusal(store.InvalidInput, "email FORBIDDEN_CHARACTER")},

	// Values.
	{name: "lengths at their limits", do: "create", in: `{"email":"a@x.io","name":"` + x255 + `","userId":"` + x255 + `","billingPostalCode":"` + x64[:32] + `","taxId":"` + x64 + `"}`,
		want: shows("a@x.io name=" + x255 + " user_id=" + x255 + " postal=" + x64[:32] + " tax=" + x64), stored: []string{"a@x.io name=" + x255 + " user_id=" + x255 + " postal=" + x64[:32] + " tax=" + x64}},
	{name: "lengths are in code points", do: "create", in: `{"email":"a@x.io","billingPostalCode":"` + strings.Repeat("\U0001F600", 32) + `"}`, want: shows("a@x.io postal=" + strings.Repeat("\U0001F600", 32)), stored: []string{"a@x.io postal=" + strings.Repeat("\U0001F600", 32)}},
	{name: "lengths beyond their limits", do: "create", in: `{"email":"a@x.io","name":"` + x255 + `x","userId":"` + x255 + `x","billingAddressLine1":"` + x255 + `x","billingAddressLine2":"` + x255 + `x","billingCity":"` + x255 + `x","billingPostalCode":"` + x64[:33] + `","taxId":"` + x64 + `x"}`,
		want: refusal(store.InvalidInput, "name TOO_LONG", "userId TOO_LONG", "billingAddressLine1 TOO_LONG", "billingAddressLine2 TOO_LONG", "billingCity TOO_LONG", "billingPostalCode TOO_LONG", "taxId TOO_LONG")},
	{name: "control characters", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"name":"a\u0007b","userId":"a\u0085b","billingCity":"a\tb","taxId":"a\u007fb"}`,
		want: refusal(store.InvalidInput, "name FORBIDDEN_CHARACTER", "userId FORBIDDEN_CHARACTER", "billingCity FORBIDDEN_CHARACTER", "taxId FORBIDDEN_CHARACTER")},
	{name: "format characters in identifiers", do: "create", in: `{"email":"a@x.io","userId":"a\u200db","billingPostalCode":"a\u00adb","taxId":"a\ufeffb"}`,
		want: refusal(store.InvalidInput, "userId FORBIDDEN_CHARACTER", "billingPostalCode FORBIDDEN_CHARACTER", "taxId FORBIDDEN_CHARACTER")},
	{name: "format characters in names", do: "create", in: `{"email":"a@x.io","name":"\u0646\u200c\u0627","billingCity":"a\u200db"}`, want: shows("a@x.io name=ن\u200cا city=a\u200db"), stored: []string{"a@x.io name=ن\u200cا city=a\u200db"}},
	{name: "a country in lower case", do: "create", in: `{"email":"a@x.io","billingCountry":" gb "}`, want: shows("a@x.io country=GB"), stored: []string{"a@x.io country=GB"}},
	{name: "an unknown country", do: "create", in: `{"email":"a@x.io","billingCountry":"UK"}`, want: refusal(store.InvalidInput, "billingCountry INVALID_FORMAT")},
	{name: "a country code of the EU that is not ISO 3166-1", do: "create", in: `{"email":"a@x.io","billingCountry":"el"}`, want: refusal(store.InvalidInput, "billingCountry INVALID_FORMAT")},
	{name: "a user-assigned country code", do: "create", in: `{"email":"a@x.io","billingCountry":"xk"}`, want: shows("a@x.io country=XK"), stored: []string{"a@x.io country=XK"}},
	{name: "a country code of three letters", do: "create", in: `{"email":"a@x.io","billingCountry":"USA"}`, want: refusal(store.InvalidInput, "billingCountry INVALID_FORMAT")},
	{name: "two countries", do: "create", in: `{"email":"a@x.io","billingCountry":"US AD"}`, want: refusal(store.InvalidInput, "billingCountry INVALID_FORMAT")},
	{name: "a letter whose upper case is a country code", do: "create", in: `{"email":"a@x.io","billingCountry":"ß"}`, want: refusal(store.InvalidInput, "billingCountry INVALID_FORMAT")},
	{name: "every fault is reported, in the documented order", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"taxId":"a\u0000b","billingCountry":"XX","email":"nobody","name":"` + x255 + `x"}`,
		want: refusal(store.InvalidInput, "email INVALID_FORMAT", "name TOO_LONG", "billingCountry INVALID_FORMAT", "taxId FORBIDDEN_CHARACTER")},
	{name: "two faults of one field", do: "create", in: `{"email":"a@x.io","name":"\u0001` + x255 + `"}`, want: refusal(store.InvalidInput, "name FORBIDDEN_CHARACTER", "name TOO_LONG")},
	{name: "HTML and SQL are stored unchanged", do: "create", in: `{"email":"a@x.io","name":"<b>&'; DROP TABLE customers; --","userId":"$1 ? %s"}`, want: shows("a@x.io name=<b>&'; DROP TABLE customers; -- user_id=$1 ? %s"), stored: []string{"a@x.io name=<b>&'; DROP TABLE customers; -- user_id=$1 ? %s"}},

	// Types and keys.
	{name: "wrong types", do: "create", in: `{"email":5,"name":true,"userId":[],"billingCity":{},"taxId":1.5}`, types: true,
		want: refusal(store.InvalidInput, "email WRONG_TYPE", "name WRONG_TYPE", "userId WRONG_TYPE", "billingCity WRONG_TYPE", "taxId WRONG_TYPE")},
	{name: "a wrong type beside other faults", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"name":5,"billingCountry":"XX"}`, types: true, want: refusal(store.InvalidInput, "name WRONG_TYPE", "billingCountry INVALID_FORMAT")},
	{name: "a missing email is reported before a wrong type", do: "create", in: `{"name":5}`, types: true, want: refusal(store.EmailRequired)},
	{name: "the flag as text", do: "create", in: `{"email":"a@x.io","dangerouslyAllowSameEmailForDifferentCustomers":"true"}`, types: true, want: refusal(store.InvalidInput, store.DangerousFlag+" WRONG_TYPE")},
	{name: "the flag as a number", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"dangerouslyAllowSameEmailForDifferentCustomers":1}`, types: true, want: refusal(store.InvalidInput, store.DangerousFlag+" WRONG_TYPE")},
	{name: "read-only keys on create", do: "create", in: `{"email":"a@x.io","id":"cust_mine","merchantId":"merchant_other","createdAt":"2020-01-01T00:00:00Z","deletedAt":"2020-01-01T00:00:00Z"}`, types: true, want: shows("a@x.io"), stored: []string{"a@x.io"}},
	{name: "read-only keys on update", rows: []string{`{"email":"a@x.io"}`}, do: "update", in: `{"id":"cust_mine","merchantId":"merchant_other","updatedAt":"2020-01-01T00:00:00Z","deletedAt":null,"emailShared":true}`, types: true, want: shows("a@x.io")},
	{name: "unknown keys and keys in another case", do: "create", in: `{"email":"a@x.io","Email":"b@x.io","NAME":"N","nickname":{"deep":[1]}}`, types: true, want: shows("a@x.io"), stored: []string{"a@x.io"}},

	// Existence.
	{name: "existence before uniqueness", rows: []string{`{"email":"a@x.io"}`}, do: "update", id: "cust_absent", in: `{"email":"a@x.io"}`, want: refusal(store.NotFound)},
	{name: "fields before existence", do: "update", id: "cust_absent", in: `{"email":"nobody"}`, want: refusal(store.InvalidInput, "email INVALID_FORMAT")},
	{name: "a missing email before existence", do: "update", id: "cust_absent", in: `{"email":null}`, want: refusal(store.EmailRequired)},
	{name: "the id before fields", do: "update", id: "nobody", in: `{"email":null}`, want: refusal(store.InvalidID)},
	{name: "the id of the API reference is well-formed", do: "get", id: "cust_stable_123", want: refusal(store.NotFound)},
	{name: "the longest id", do: "get", id: "cust_" + x64, want: refusal(store.NotFound)},
	{name: "an id that is too long", do: "get", id: "cust_" + x64 + "x", want: refusal(store.InvalidID)},
	{name: "an id of only the prefix", do: "delete", id: "cust_", want: refusal(store.InvalidID)},
	{name: "a prefix in capitals", do: "get", id: "CUST_1", want: refusal(store.InvalidID)},
	{name: "digits of another script", do: "delete", id: "cust_١", want: refusal(store.InvalidID)},
	{name: "an id with a trailing newline", do: "get", id: "cust_1\n", want: refusal(store.InvalidID)},
	{name: "a merchant's id", do: "delete", id: "merchant_1", want: refusal(store.InvalidID)},
	{name: "get", rows: []string{`{"email":"a@x.io","name":"N"}`}, do: "get", want: shows("a@x.io name=N")},
	{name: "get a deleted customer", rows: []string{`-{"email":"a@x.io"}`}, do: "get", want: refusal(store.NotFound)},
	{name: "update a deleted customer", rows: []string{`-{"email":"a@x.io"}`}, do: "update", in: `{"name":"N"}`, want: refusal(store.NotFound)},
	{name: "an empty update of a deleted customer", rows: []string{`-{"email":"a@x.io"}`}, do: "update", in: `{}`, want: refusal(store.NotFound)},
	{name: "delete", rows: []string{`{"email":"a@x.io","name":"N"}`, `{"email":"b@x.io"}`}, do: "delete", want: shows(), stored: []string{"a@x.io name=N moved deleted", "b@x.io"}},
	{name: "delete twice", rows: []string{`-{"email":"a@x.io"}`}, do: "delete", want: refusal(store.NotFound)},
	{name: "delete an absent customer", do: "delete", id: "cust_absent", want: refusal(store.NotFound)},

	// Lists.
	{name: "list, newest first", rows: []string{`{"email":"a@x.io"}`, `-{"email":"b@x.io"}`, `{"email":"c@x.io"}`}, do: "list", in: `{}`, want: shows("c@x.io", "a@x.io")},
	{name: "list without customers", do: "list", in: `{}`, want: shows()},
	{name: "list with the deleted ones", rows: []string{`{"email":"a@x.io"}`, `-{"email":"b@x.io"}`}, do: "list", in: `{"includeDeleted":true}`, want: shows("b@x.io deleted", "a@x.io")},
	{name: "list by address in another case", rows: []string{`{"email":"a@x.io"}`, `{"email":"A@x.io"` + flagged, `{"email":"b@x.io"}`}, do: "list", in: `{"email":" A@X.io "}`, want: shows("A@x.io shared", "a@x.io")},
	{name: "list by user id, which is case-sensitive", rows: []string{`{"email":"a@x.io","userId":"U"}`, `{"email":"b@x.io","userId":"u"}`}, do: "list", in: `{"userId":"U"}`, want: shows("a@x.io user_id=U")},
	{name: "list by both", rows: []string{`{"email":"a@x.io","userId":"U"}`, `{"email":"b@x.io","userId":"U"}`}, do: "list", in: `{"userId":"U","email":"b@x.io"}`, want: shows("b@x.io user_id=U")},
	{name: "list of changes since a time in the future", rows: []string{`{"email":"a@x.io"}`}, do: "list", in: `{"updatedSince":"2999-01-01T00:00:00+02:00"}`, want: shows()},
	{name: "list of changes since a time in the past", rows: []string{`{"email":"a@x.io"}`}, do: "list", in: `{"updatedSince":"1999-01-01T00:00:00Z"}`, want: shows("a@x.io")},
	{name: "list by an invalid address", do: "list", in: `{"email":"nobody"}`, want: refusal(store.InvalidInput, "email INVALID_FORMAT")},
	{name: "list by a user id with control characters", do: "list", in: `{"userId":"a\u0000b"}`, want: refusal(store.InvalidInput, "userId FORBIDDEN_CHARACTER")},
	{name: "list by blank values", do: "list", in: `{"email":" ","userId":""}`, want: refusal(store.InvalidInput, "email INVALID_FORMAT", "userId INVALID_FORMAT")},
}

// TestRules checks every rule through both APIs: the reply and the stored rows must be the same.
func TestRules(t *testing.T) {
	t.Parallel()
	requireRules(t, harness.Serve(t))
}

// requireRules checks the table of rules through both APIs.
func requireRules(t *testing.T, d *harness.Server) {
	t.Helper()
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			var got [2]outcome
			var rows [2][]string
			var before []string
			for i, operate := range []func(testing.TB, *harness.Server, storetest.Merchant, rule, string) outcome{throughREST, throughGraphQL} {
				m := d.Merchant(t, "Rules")
				id := arrange(t, d, m, r)
				before = storedRows(t, d, m)
				got[i] = operate(t, d, m, r, id)
				rows[i] = storedRows(t, d, m)
			}
			want := r.stored
			if want == nil {
				want = before
			}
			require.Equal(t, inREST(r.want), got[0])
			require.Equal(t, want, rows[0])
			if r.types {
				require.Equal(t, outcome{code: "GRAPHQL_VALIDATION_FAILED"}, got[1])
				require.Equal(t, before, rows[1])
				return
			}
			require.Equal(t, r.want, got[1])
			require.Equal(t, rows[0], rows[1])
		})
	}
}

// inREST returns the outcome without the column that only GraphQL shows.
func inREST(o outcome) outcome {
	for i := range o.customers {
		o.customers = append([]string(nil), o.customers...)
		o.customers[i] = strings.Replace(o.customers[i], " shared", "", 1)
	}
	return o
}

// arrange creates the rows and returns the id for the operation. The rows' updated_at equals their
// created_at, so that storedRows marks a later change as "moved".
func arrange(t testing.TB, d *harness.Server, m storetest.Merchant, r rule) string {
	t.Helper()
	target := r.id
	for i, input := range r.rows {
		live, deleted := strings.CutPrefix(input, "-")
		if !deleted {
			live = input
		}
		id := d.Create(t, m, live)
		if deleted {
			require.Equal(t, 200, d.Send(t, m.WriteKey, "DELETE", "/api/customers/"+id, "").Status)
		}
		// The rows are created an hour ago and 1 s apart, so that their order is known and a change
		// by the operation is visible.
		d.SQL(t, `UPDATE customers SET created_at = past.at, updated_at = past.at, deleted_at = CASE WHEN deleted_at IS NOT NULL THEN past.at END
			FROM (SELECT date_trunc('hour', now()) - interval '1 hour' + $1 * interval '1 second' AS at) AS past WHERE id = $2`, i, id)
		if i == 0 && target == "" {
			target = id
		}
	}
	return target
}

// storedRows returns the merchant's rows, in the order of their creation, each as one line of its
// stored values.
func storedRows(t testing.TB, d *harness.Server, m storetest.Merchant) []string {
	t.Helper()
	return d.Lines(t, `SELECT email || COALESCE(' name=' || name, '') || COALESCE(' user_id=' || user_id, '') ||
		COALESCE(' line1=' || billing_address_line1, '') || COALESCE(' line2=' || billing_address_line2, '') ||
		COALESCE(' city=' || billing_city, '') || COALESCE(' postal=' || billing_postal_code, '') ||
		COALESCE(' country=' || billing_country, '') || COALESCE(' tax=' || tax_id, '') ||
		CASE WHEN email_shared THEN ' shared' ELSE '' END || CASE WHEN updated_at > created_at THEN ' moved' ELSE '' END ||
		CASE WHEN deleted_at IS NOT NULL THEN ' deleted' ELSE '' END
		FROM customers WHERE merchant_id = $1 ORDER BY created_at, id`, m.ID)
}

// shownCustomer is a customer in a reply of REST or GraphQL.
type shownCustomer struct {
	Email                                                 string
	Name, UserID                                          *string
	BillingAddressLine1, BillingAddressLine2, BillingCity *string
	BillingPostalCode, BillingCountry, TaxID, DeletedAt   *string
	MerchantID, CreatedAt, UpdatedAt                      string
	EmailShared                                           bool
}

func (c shownCustomer) line() string {
	line := c.Email
	for _, f := range []struct {
		name  string
		value *string
	}{
		{"name", c.Name}, {"user_id", c.UserID}, {"line1", c.BillingAddressLine1}, {"line2", c.BillingAddressLine2}, {"city", c.BillingCity},
		{"postal", c.BillingPostalCode}, {"country", c.BillingCountry}, {"tax", c.TaxID},
	} {
		if f.value != nil {
			line += " " + f.name + "=" + *f.value
		}
	}
	if c.EmailShared {
		line += " shared"
	}
	if c.DeletedAt != nil {
		line += " deleted"
	}
	return line
}

func throughREST(t testing.TB, d *harness.Server, m storetest.Merchant, r rule, id string) outcome {
	t.Helper()
	var got harness.Reply
	one := "/api/customers/" + url.PathEscape(id)
	switch r.do {
	case "create":
		got = d.Send(t, m.WriteKey, "POST", "/api/customers", r.in)
	case "update":
		got = d.Send(t, m.WriteKey, "POST", one, r.in)
	case "get":
		got = d.Send(t, m.WriteKey, "GET", one, "")
	case "delete":
		got = d.Send(t, m.WriteKey, "DELETE", one, "")
	case "list":
		var filter map[string]any
		require.NoError(t, json.Unmarshal([]byte(r.in), &filter))
		query := url.Values{}
		for name, value := range filter {
			query.Set(name, fmt.Sprint(value))
		}
		got = d.Send(t, m.WriteKey, "GET", "/api/customers?"+query.Encode(), "")
	}
	var body struct {
		Customer  *shownCustomer
		Customers []shownCustomer
		Success   bool
		Error     string
		Details   []struct{ Field, Code, Message string }
	}
	require.NoError(t, json.Unmarshal([]byte(got.Body), &body), got.Body)
	o := outcome{text: body.Error}
	for _, f := range body.Details {
		o.details = strings.TrimPrefix(o.details+", "+f.Field+" "+f.Code, ", ")
	}
	if body.Error != "" {
		o.code = codeOf(t, got.Status, body.Error)
		return o
	}
	require.Equal(t, r.do == "create", got.Status == 201)
	require.Equal(t, r.do == "delete", body.Success)
	if body.Customer != nil {
		body.Customers = append(body.Customers, *body.Customer)
	}
	for _, c := range body.Customers {
		require.Equal(t, m.ID, c.MerchantID)
		o.customers = append(o.customers, c.line())
	}
	return o
}

// codeOf returns the store's code for a status and a message of REST.
func codeOf(t testing.TB, status int, text string) string {
	t.Helper()
	switch status {
	case 400:
		for _, code := range []store.Code{store.EmailRequired, store.InvalidInput, store.InvalidID, store.BadRequest} {
			if store.NounOf[store.Customer]().NewError(code).Message == text {
				return string(code)
			}
		}
	case 404:
		return string(store.NotFound)
	case 409:
		return string(store.EmailTaken)
	}
	require.Fail(t, "not in the registry", "%d %s", status, text)
	return ""
}

const allFields = `{id email name userId billingAddressLine1 billingAddressLine2 billingCity billingPostalCode billingCountry taxId merchantId createdAt updatedAt deletedAt emailShared}`

const userErrorFields = ` userErrors{code field message reason}`

var operations = map[string]string{
	"create": `mutation($input:CreateCustomerInput!){it:createCustomer(input:$input){customer` + allFields + userErrorFields + `}}`,
	"update": `mutation($id:ID!,$input:UpdateCustomerInput!){it:updateCustomer(id:$id,input:$input){customer` + allFields + userErrorFields + `}}`,
	"get":    `query($id:ID!){it:customer(id:$id)` + allFields + `}`,
	"delete": `mutation($id:ID!){it:deleteCustomer(id:$id){deletedCustomerId` + userErrorFields + `}}`,
	"list":   `query($filter:CustomerFilter){it:customers(filter:$filter){nodes` + allFields + `}}`,
}

func throughGraphQL(t testing.TB, d *harness.Server, m storetest.Merchant, r rule, id string) outcome {
	t.Helper()
	variables := map[string]any{}
	switch r.do {
	case "create":
		variables["input"] = json.RawMessage(r.in)
	case "update":
		variables["id"], variables["input"] = id, json.RawMessage(r.in)
	case "get", "delete":
		variables["id"] = id
	case "list":
		var filter map[string]any
		require.NoError(t, json.Unmarshal([]byte(r.in), &filter))
		if since, ok := filter["updatedSince"]; ok {
			delete(filter, "updatedSince")
			filter["updatedAt"] = map[string]any{"from": since}
		}
		variables["filter"] = filter
	}
	got := d.GraphQL(t, m.WriteKey, operations[r.do], variables)
	require.Equal(t, 200, got.Status, got.Body)

	type detail struct{ Field, Code, Message string }
	var body struct {
		Errors []struct {
			Message    string
			Extensions struct {
				Code    string
				Details []detail
			}
		}
		Data *struct{ It json.RawMessage }
	}
	require.NoError(t, json.Unmarshal([]byte(got.Body), &body), got.Body)
	if len(body.Errors) > 0 {
		first := body.Errors[0]
		if first.Extensions.Code == "GRAPHQL_VALIDATION_FAILED" { // the library decides on the messages and their number
			require.Nil(t, body.Data)
			return outcome{code: first.Extensions.Code}
		}
		require.Len(t, body.Errors, 1)
		o := outcome{code: first.Extensions.Code, text: first.Message}
		for _, f := range first.Extensions.Details {
			o.details = strings.TrimPrefix(o.details+", "+f.Field+" "+f.Code, ", ")
		}
		return o
	}
	if string(body.Data.It) == "null" {
		return refusal(store.NotFound)
	}
	var it struct {
		shownCustomer
		Nodes             []shownCustomer
		Customer          *shownCustomer
		DeletedCustomerID *string
		UserErrors        []struct {
			Code, Message string
			Field         []string
			Reason        *string
		}
	}
	require.NoError(t, json.Unmarshal(body.Data.It, &it))
	var o outcome
	for _, f := range it.UserErrors {
		o.code, o.text = f.Code, f.Message
		if f.Reason != nil {
			o.text = store.NewError(store.InvalidInput).Message
			require.Equal(t, []string{"input", f.Field[1]}, f.Field)
			o.details = strings.TrimPrefix(o.details+", "+f.Field[1]+" "+*f.Reason, ", ")
		}
	}
	if len(it.UserErrors) > 0 {
		require.Nil(t, it.Customer)
		require.Nil(t, it.DeletedCustomerID)
		return o
	}
	switch r.do {
	case "get":
		it.Nodes = append(it.Nodes, it.shownCustomer)
	case "create", "update":
		it.Nodes = append(it.Nodes, *it.Customer)
	case "delete":
		require.Equal(t, id, *it.DeletedCustomerID)
	}
	for _, c := range it.Nodes {
		require.Equal(t, m.ID, c.MerchantID)
		o.customers = append(o.customers, c.line())
	}
	return o
}
