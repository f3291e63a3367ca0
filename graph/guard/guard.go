// Package guard decides which GraphQL operations may be executed: it parses and validates documents,
// keeps them, and holds requests to limits of size and cost. It knows no noun: what it knows of the
// graph, it reads in the schema.
package guard

import (
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Schema is a schema and the rules of its scalars.
type Schema struct {
	*ast.Schema
	// Coerce returns nil when an enum or a scalar accepts a value, else a *gqlerror.Error or a
	// *store.Error. Neither repeats the value.
	Coerce func(inputType *ast.Definition, value any) error
}

// Request is what the body of a request asks for.
type Request struct {
	Query         *string
	DocumentID    string // of a trusted document
	OperationName string
	Variables     map[string]any
	VariablesSize int // octets of the text they were read from
}

// The codes that only the GraphQL API has, besides gqlgen's two.
const (
	LimitExceeded              = "LIMIT_EXCEEDED"
	DocumentNotTrusted         = "DOCUMENT_NOT_TRUSTED"
	PersistedQueryNotSupported = "PERSISTED_QUERY_NOT_SUPPORTED"
)

// Refusal returns the error of an operation that will not be executed.
func Refusal(code, message string) *gqlerror.Error {
	err := gqlerror.Errorf("%s", message)
	errcode.Set(err, code)
	return err
}

// MaxName is the longest name, in characters, that replies repeat whole.
const MaxName = 64
