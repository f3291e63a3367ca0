package store

import (
	"context"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Actor is who made a change. ID and Name are nil if there is none.
type Actor struct {
	Kind     ActorKind
	ID, Name *string
}

// ActorKind is the kind of an actor.
type ActorKind string

// The kinds of actors.
const (
	// APIKeyActor is an API key, under its id and its name.
	APIKeyActor ActorKind = "api_key"
	// AccessTokenActor is an access token, under its id and the name of the API key that created it.
	AccessTokenActor ActorKind = "access_token"
	// OperatorActor is a command of the operator.
	OperatorActor ActorKind = "operator"
)

// actor returns who acts with the credential.
func (c Credential) actor() Actor {
	if c.TokenID != "" {
		return Actor{AccessTokenActor, &c.TokenID, orNil(c.KeyName)}
	}
	return Actor{APIKeyActor, &c.KeyID, orNil(c.KeyName)}
}

// Request is what changes record of the request that made them. Empty texts mean none.
type Request struct {
	ID string
	// Reason is why the caller makes its writes, as it states.
	Reason string
}

type requestKey struct{}

// WithRequest returns a context in which writes record the request.
func WithRequest(ctx context.Context, request Request) context.Context {
	return context.WithValue(ctx, requestKey{}, request)
}

// origin returns the arguments of a write that its change records: the kind, the id and the name of
// the actor, the id of the request, and the reason.
func origin(ctx context.Context) []any {
	credential, _ := CredentialFrom(ctx)
	actor := credential.actor()
	request, _ := ctx.Value(requestKey{}).(Request)
	return []any{string(actor.Kind), actor.ID, actor.Name, orNil(request.ID), orNil(request.Reason)}
}

// orNil returns the text, or nil for an empty one.
func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// originParams is the number of the arguments that origin returns. They come first, from $4 on.
const originParams = 5

// MaxReason is the maximum length of the reason of a write, in code points.
const MaxReason = 255

// ReasonHeader is the HTTP header that states the reason of a write, in both APIs.
const ReasonHeader = "Lumen-Reason"

// checkReason returns the faults of the reason that the request of ctx states.
func checkReason(ctx context.Context) []Fault {
	request, _ := ctx.Value(requestKey{}).(Request)
	reason := request.Reason
	switch {
	case !utf8.ValidString(reason):
		return []Fault{NewHeaderFault(ReasonHeader, InvalidFormat, "must be UTF-8")}
	case utf8.RuneCountInString(reason) > MaxReason:
		return []Fault{NewHeaderFault(ReasonHeader, TooLong, fmt.Sprintf("must have at most %d characters", MaxReason))}
	case strings.ContainsFunc(reason, unicode.IsControl):
		return []Fault{NewHeaderFault(ReasonHeader, ForbiddenCharacter, "must have no control characters")}
	}
	return nil
}
