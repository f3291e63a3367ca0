package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"lumen/store/gate"
	"lumen/store/postgres"
)

// Code names an outcome on which a caller may act. The codes are part of the contract of both APIs.
type Code string

// The registry of codes. REST maps each to a status; GraphQL shows them as extensions.code or UserErrorCode.
const (
	EmailRequired    Code = "EMAIL_REQUIRED"
	InvalidInput     Code = "INVALID_INPUT"
	InvalidID        Code = "INVALID_ID"
	BadRequest       Code = "BAD_REQUEST"
	Unauthenticated  Code = "UNAUTHENTICATED"
	Forbidden        Code = "FORBIDDEN"
	NotFound         Code = "NOT_FOUND"
	RouteNotFound    Code = "ROUTE_NOT_FOUND"
	MethodNotAllowed Code = "METHOD_NOT_ALLOWED"
	EmailTaken       Code = "EMAIL_TAKEN"
	PayloadTooLarge  Code = "PAYLOAD_TOO_LARGE"
	UnsupportedType  Code = "UNSUPPORTED_MEDIA_TYPE"
	RateLimited      Code = "RATE_LIMITED"
	Internal         Code = "INTERNAL"
	Unavailable      Code = "UNAVAILABLE"
)

// ClientLeft is an outcome in logs and metrics alone: no client sees it.
const ClientLeft Code = "CLIENT_CLOSED_REQUEST"

// outcome is a row of the registry: the HTTP status of a code in both APIs, and the message that callers
// see, in which {noun} and {Noun} stand for the noun. The reference's texts are literal.
type outcome struct {
	status int
	text   string
}

var registry = map[Code]outcome{
	EmailRequired:    {400, "Email is required"},
	InvalidInput:     {400, "Invalid request data"},
	InvalidID:        {400, "Invalid {noun} ID format"},
	BadRequest:       {400, "The request body is not valid JSON"},
	Unauthenticated:  {401, "Unauthorized"},
	Forbidden:        {403, "This credential may not do that"},
	NotFound:         {404, "{Noun} not found or access denied"},
	RouteNotFound:    {404, "Not found"},
	MethodNotAllowed: {405, "Method not allowed"},
	EmailTaken:       {409, "A {noun} with this email already exists"},
	PayloadTooLarge:  {413, "Request body too large"},
	UnsupportedType:  {415, "Content-Type must be application/json"},
	RateLimited:      {429, "Too many requests"},
	Internal:         {500, "Internal server error"},
	Unavailable:      {503, "Service temporarily unavailable"},
}

// Codes returns all codes of the registry.
func Codes() []Code { return slices.Sorted(maps.Keys(registry)) }

// Error is an outcome for the caller. Its Message never holds anything that came from Postgres or from Go; the cause,
// if any, is for the log alone.
type Error struct {
	Code    Code
	Message string
	// Noun is the name of the noun that the outcome is about, "" for none.
	Noun string
	// Field is the documented name of the one field that the outcome is about, "" for none.
	Field string
	// Faults lists every bad field of an InvalidInput, in the documented order of the fields.
	Faults []Fault
	// RetryAfter is how long to wait before asking again, when the code is RateLimited or Unavailable. 0 is a second.
	RetryAfter time.Duration

	cause error
}

// Reason says why a field was refused.
type Reason string

// The reasons.
const (
	InvalidFormat      Reason = "INVALID_FORMAT"
	TooLong            Reason = "TOO_LONG"
	ForbiddenCharacter Reason = "FORBIDDEN_CHARACTER"
	WrongType          Reason = "WRONG_TYPE"
)

// Fault is one fault of one field, under the field's documented name.
type Fault struct {
	Field   string
	Reason  Reason
	Message string
}

// NewFault returns a Fault whose message names the form that is expected, such as "must be 1 to
// 250". It never repeats the value.
func NewFault(field string, reason Reason, form string) Fault {
	return Fault{Field: field, Reason: reason, Message: field + " " + form}
}

// Rename returns the fault under another name of its field.
func (f Fault) Rename(field string) Fault {
	return NewFault(field, f.Reason, strings.TrimPrefix(f.Message, f.Field+" "))
}

// TimeForm is the form of a time, for the messages of faults.
const TimeForm = "must be an RFC 3339 time, YYYY-MM-DDThh:mm:ssZ"

// PageSizeForm is the form of a number of rows, for the messages of faults.
var PageSizeForm = fmt.Sprintf("must be 1 to %d", MaxPageSize)

// NewError returns an Error that is about no noun, with the registry's text for code.
func NewError(code Code) *Error { return newError(code, "") }

func newError(code Code, noun string) *Error {
	text := registry[code].text
	if noun != "" && strings.Contains(text, "{") {
		text = strings.NewReplacer("{noun}", noun, "{Noun}", strings.ToUpper(noun[:1])+noun[1:]).Replace(text)
	}
	return &Error{Code: code, Message: text, Noun: noun}
}

// Invalid returns an InvalidInput with these faults, or nil when there are none. Equal ones are
// said once, with their count.
func Invalid(faults ...Fault) error {
	if len(faults) == 0 {
		return nil
	}
	err := NewError(InvalidInput)
	count := make(map[Fault]int, len(faults))
	for _, f := range faults {
		if count[f]++; count[f] == 1 {
			err.Faults = append(err.Faults, f)
		}
	}
	for i, f := range err.Faults {
		if n := count[f]; n > 1 {
			err.Faults[i].Message += fmt.Sprintf(" (%d times)", n)
		}
	}
	return err
}

// Error describes the outcome with its cause, for logs.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Message
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Status returns the HTTP status of a reply that is this outcome as a whole.
func (e *Error) Status() int { return registry[e.Code].status }

// Headers returns the HTTP headers of a reply that is this outcome as a whole, by name: what a client
// that is not authenticated must send, and how many seconds a client should wait.
func (e *Error) Headers() map[string]string {
	switch e.Code {
	case Unauthenticated:
		return map[string]string{"WWW-Authenticate": "Bearer"}
	case RateLimited, Unavailable:
		return map[string]string{"Retry-After": strconv.Itoa(max(1, int((e.RetryAfter+time.Second-1)/time.Second)))}
	}
	return nil
}

// IsLogged reports whether the cause of the outcome goes to the log. It does not when the client left before
// its statement was sent, nor when an overload was the reason: that has no cause and would fill the log.
func (e *Error) IsLogged() bool {
	return (e.Code == Internal || e.Code == Unavailable) && e.cause != nil && !e.clientLeft()
}

// Outcome is the code for logs and metrics: ClientLeft where no statement was sent because the client left.
func (e *Error) Outcome() Code {
	if e.clientLeft() {
		return ClientLeft
	}
	return e.Code
}

// clientLeft reports whether the client left first. A statement that was sent runs to its end, and fails of
// other causes.
func (e *Error) clientLeft() bool { return errors.Is(e.cause, context.Canceled) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// AsError returns what a caller may see of err: the *Error in its chain, or Internal for anything else.
func AsError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Code: Internal, Message: registry[Internal].text, cause: err}
}

// Failed returns the error that an operation ends with. An outcome passes unchanged. An outage of the
// database and an overload become Unavailable, a merchant's own limit RateLimited. Anything else is
// Internal with the reference's text, "Failed to " and the operation.
func Failed(operation string, err error) error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, gate.ErrTenantLimit):
		return NewError(RateLimited)
	case errors.Is(err, gate.ErrOverloaded):
		return NewError(Unavailable)
	case postgres.IsOutage(err):
		return Outage(err)
	default:
		return &Error{Code: Internal, Message: "Failed to " + operation, cause: err}
	}
}

// Recovered is deferred by goroutines that the store starts. A panic there would end the program;
// Recovered turns it into the error that err points to.
func Recovered(err *error) {
	if cause := recover(); cause != nil {
		*err = AsError(fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
	}
}

// Outage returns Unavailable with this cause, or the cause itself when it is one.
func Outage(cause error) *Error {
	var known *Error
	if errors.As(cause, &known) && known.Code == Unavailable {
		return known
	}
	return &Error{Code: Unavailable, Message: registry[Unavailable].text, cause: cause}
}
