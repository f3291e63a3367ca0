package graph

import (
	"context"
	"regexp"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// refusal is what an extension answers to a document that it refuses.
func refusal(code, message string) *gqlerror.Error {
	err := gqlerror.Errorf("%s", message)
	errcode.Set(err, code)
	return err
}

// noIntrospection refuses operations that read the schema. gqlgen's own refusal comes without a code.
type noIntrospection struct{}

var _ graphql.OperationContextMutator = noIntrospection{}

// ExtensionName implements graphql.HandlerExtension.
func (noIntrospection) ExtensionName() string { return "NoIntrospection" }

// Validate implements graphql.HandlerExtension.
func (noIntrospection) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationContext implements graphql.OperationContextMutator.
func (noIntrospection) MutateOperationContext(_ context.Context, operation *graphql.OperationContext) *gqlerror.Error {
	for _, field := range graphql.CollectFields(operation, operation.Operation.SelectionSet, []string{"Query"}) {
		if field.Name == "__schema" || field.Name == "__type" {
			return refusal(errcode.ValidationFailed, "introspection is not enabled")
		}
	}
	return nil
}

// wholeCharacters refuses documents with half a surrogate pair in an escape, which the parser would take for U+FFFD:
// nothing is stored other than it was sent.
type wholeCharacters struct{}

var _ graphql.OperationParameterMutator = wholeCharacters{}

// lexeme matches what hides quotes from each other: a block string, in which \u is no escape, a comment, and in the group
// the inside of a string.
var lexeme = regexp.MustCompile(`(?s)"""(?:\\"""|.)*?"""|#[^\n\r]*|"((?:[^"\\\n\r]|\\.)*)"`)

// escape matches one escape, or a surrogate pair of two; its groups are halves of one.
var escape = regexp.MustCompile(`(?i)\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(ud[89a-f][0-9a-f]{2})|(u\{0*d[89a-f][0-9a-f]{2}\})|.)`)

// ExtensionName implements graphql.HandlerExtension.
func (wholeCharacters) ExtensionName() string { return "WholeCharacters" }

// Validate implements graphql.HandlerExtension.
func (wholeCharacters) Validate(graphql.ExecutableSchema) error { return nil }

// MutateOperationParameters implements graphql.OperationParameterMutator.
func (wholeCharacters) MutateOperationParameters(_ context.Context, params *graphql.RawParams) *gqlerror.Error {
	for _, text := range lexeme.FindAllStringSubmatch(params.Query, -1) {
		for _, match := range escape.FindAllStringSubmatch(text[1], -1) {
			if match[1] != "" || match[2] != "" {
				return refusal(errcode.ParseFailed, "a string holds half of a surrogate pair")
			}
		}
	}
	return nil
}
