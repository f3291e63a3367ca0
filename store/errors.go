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

// Code identifies the outcome of an operation for the caller. The codes are part of both APIs'
// contracts.
type Code string

// The codes. REST maps each to a status; GraphQL shows it as extensions.code or as a UserErrorCode.
const (
	EmailRequired       Code = "EMAIL_REQUIRED"
	InvalidInput        Code = "INVALID_INPUT"
	InvalidID           Code = "INVALID_ID"
	BadRequest          Code = "BAD_REQUEST"
	Unauthenticated     Code = "UNAUTHENTICATED"
	Forbidden           Code = "FORBIDDEN"
	NotFound            Code = "NOT_FOUND"
	RouteNotFound       Code = "ROUTE_NOT_FOUND"
	MethodNotAllowed    Code = "METHOD_NOT_ALLOWED"
	EmailTaken          Code = "EMAIL_TAKEN"
	VersionConflict     Code = "VERSION_CONFLICT"
	CursorExpired       Code = "CURSOR_EXPIRED"
	PayloadTooLarge     Code = "PAYLOAD_TOO_LARGE"
	UnsupportedType     Code = "UNSUPPORTED_MEDIA_TYPE"
	RateLimited         Code = "RATE_LIMITED"
	Internal            Code = "INTERNAL"
	Unavailable         Code = "UNAVAILABLE"
	TokensNotConfigured Code = "TOKENS_NOT_CONFIGURED" // lasts until an operator acts, unlike Unavailable
)

// ClientLeft is an outcome in logs and metrics only. No client sees it.
const ClientLeft Code = "CLIENT_CLOSED_REQUEST"

// outcome holds the HTTP status of a code, in both APIs, and its message for callers. {noun} and
// {Noun} in a message stand for the noun's name. The messages are those of the API reference.
type outcome struct {
	status int
	text   string
}

var registry = map[Code]outcome{
	EmailRequired:       {400, "Email is required"},
	InvalidInput:        {400, "Invalid request data"},
	InvalidID:           {400, "Invalid {noun} ID format"},
	BadRequest:          {400, "The request body is not valid JSON"},
	Unauthenticated:     {401, "Unauthorized"},
	Forbidden:           {403, "This credential may not do that"},
	NotFound:            {404, "{Noun} not found or access denied"},
	RouteNotFound:       {404, "Not found"},
	MethodNotAllowed:    {405, "Method not allowed"},
	EmailTaken:          {409, "A {noun} with this email already exists"},
	VersionConflict:     {412, "The {noun} was changed in the meantime"},
	CursorExpired:       {410, "This cursor has expired; list again and continue from the new cursor"},
	PayloadTooLarge:     {413, "Request body too large"},
	UnsupportedType:     {415, "Content-Type must be application/json"},
	RateLimited:         {429, "Too many requests"},
	Internal:            {500, "Internal server error"},
	Unavailable:         {503, "Service temporarily unavailable"},
	TokensNotConfigured: {503, "Access tokens are not configured on this server"},
}

// Codes returns all codes, sorted.
func Codes() []Code { return slices.Sorted(maps.Keys(registry)) }

// Error is an outcome for the caller. Its Message never holds text from Postgres or Go. The cause,
// if there is one, goes to the log only.
type Error struct {
	Code    Code
	Message string
	// Noun is the name of the noun that the outcome is about, or "" if there is none.
	Noun string
	// Field is the documented name of the field that the outcome is about, or "" if there is not
	// just one.
	Field string
	// Faults are all faults of an InvalidInput, in the documented order of the fields.
	Faults []Fault
	// Version is the current version of the row, for VersionConflict.
	Version int64
	// RetryAfter is the time to wait before a retry, for RateLimited and Unavailable. Zero means 1
	// s.
	RetryAfter time.Duration

	cause error
}

// Reason is the reason why a field was refused.
type Reason string

// The reasons.
const (
	InvalidFormat      Reason = "INVALID_FORMAT"
	TooLong            Reason = "TOO_LONG"
	ForbiddenCharacter Reason = "FORBIDDEN_CHARACTER"
	WrongType          Reason = "WRONG_TYPE"
)

// Fault is one fault of one field, under the documented name of the field.
type Fault struct {
	Field string
	// InHeader reports whether the field is a header of the request, and no input.
	InHeader bool
	Reason   Reason
	Message  string
}

// NewFault returns a Fault whose message is the field and the expected form, such as "first must be
// 1 to 250". A message never repeats the value.
func NewFault(field string, reason Reason, form string) Fault {
	return Fault{Field: field, Reason: reason, Message: field + " " + form}
}

// NewHeaderFault is NewFault for a header of the request.
func NewHeaderFault(header string, reason Reason, form string) Fault {
	f := NewFault(header, reason, form)
	f.InHeader = true
	return f
}

// Rename returns the fault with another field name.
func (f Fault) Rename(field string) Fault {
	return NewFault(field, f.Reason, strings.TrimPrefix(f.Message, f.Field+" "))
}

// TimeForm describes a valid time, in messages.
const TimeForm = "must be an RFC 3339 time, YYYY-MM-DDThh:mm:ssZ"

// PageSizeForm describes a valid page size, in messages.
var PageSizeForm = fmt.Sprintf("must be 1 to %d", MaxPageSize)

// NewError returns an Error with the code and its message, about no noun.
func NewError(code Code) *Error { return newError(code, "") }

func newError(code Code, noun string) *Error {
	text := registry[code].text
	if noun != "" && strings.Contains(text, "{") {
		text = strings.NewReplacer("{noun}", noun, "{Noun}", strings.ToUpper(noun[:1])+noun[1:]).Replace(text)
	}
	return &Error{Code: code, Message: text, Noun: noun}
}

// Invalid returns an InvalidInput with the faults, or nil if there are none. Equal faults are
// listed once, with their count.
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

// Error returns the outcome and its cause, for logs.
func (e *Error) Error() string {
	text := string(e.Code) + ": " + e.Message
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Status returns the HTTP status of a reply that consists of this outcome.
func (e *Error) Status() int { return registry[e.Code].status }

// Headers returns the HTTP headers of a reply that consists of this outcome, by name:
// WWW-Authenticate for Unauthenticated, ETag for VersionConflict, and Retry-After, in seconds, for
// RateLimited and Unavailable.
func (e *Error) Headers() map[string]string {
	switch e.Code {
	case Unauthenticated:
		return map[string]string{"WWW-Authenticate": "Bearer"}
	case VersionConflict:
		return map[string]string{"ETag": ETag(e.Version)}
	case RateLimited, Unavailable:
		return map[string]string{"Retry-After": strconv.Itoa(max(1, int((e.RetryAfter+time.Second-1)/time.Second)))}
	}
	return nil
}

// IsLogged reports whether the cause goes to the log. It does not if the client left before its
// statement was sent, and not if the server was overloaded: an overload has no cause, and would
// flood the log.
func (e *Error) IsLogged() bool {
	return (e.Code == Internal || e.Code == Unavailable) && e.cause != nil && !e.clientLeft()
}

// Outcome returns the code for logs and metrics: ClientLeft if the client left before a statement
// was sent.
func (e *Error) Outcome() Code {
	if e.clientLeft() {
		return ClientLeft
	}
	return e.Code
}

// clientLeft reports whether the client left before its statement was sent. A statement that was
// sent is never cancelled because of the client, so its errors have other causes.
func (e *Error) clientLeft() bool { return errors.Is(e.cause, context.Canceled) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// AsError returns the *Error in err's chain. It returns Internal for any other error.
func AsError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Code: Internal, Message: registry[Internal].text, cause: err}
}

// Failed returns the *Error that an operation ends with. An *Error in err's chain is returned
// unchanged. A database outage and an overload become Unavailable, and a merchant's own limit
// RateLimited. Any other error becomes Internal with the message "Failed to " and the operation.
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

// Recovered turns a panic into an error, in *err. Every goroutine that the store starts defers it,
// because a panic there would end the program.
func Recovered(err *error) {
	if cause := recover(); cause != nil {
		*err = AsError(fmt.Errorf("panic: %v\n%s", cause, debug.Stack()))
	}
}

// Outage returns Unavailable with the cause, or the cause itself if it is an Unavailable.
func Outage(cause error) *Error {
	var known *Error
	if errors.As(cause, &known) && known.Code == Unavailable {
		return known
	}
	return &Error{Code: Unavailable, Message: registry[Unavailable].text, cause: cause}
}
