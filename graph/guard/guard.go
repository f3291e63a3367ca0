// Package guard decides which GraphQL operations are executed. It parses, validates and caches
// documents, and refuses requests beyond the limits of size and cost. It knows no noun: it reads
// everything about types and fields in the schema.
package guard

import (
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Schema is a schema and the rules of its scalars.
type Schema struct {
	*ast.Schema
	// Coerce returns nil if an enum or a scalar accepts a value, else a *gqlerror.Error or a
	// *store.Error. Neither repeats the value.
	Coerce func(inputType *ast.Definition, value any) error
}

// Request is the decoded body of a request.
type Request struct {
	Query         *string // nil if the body has none
	DocumentID    string  // of a trusted document
	OperationName string
	Variables     map[string]any
	VariablesSize int // bytes of the JSON text of the variables
}

// Error codes that only the GraphQL API uses. gqlgen defines two more, for parsing and validation.
const (
	LimitExceeded              = "LIMIT_EXCEEDED"
	DocumentNotTrusted         = "DOCUMENT_NOT_TRUSTED"
	PersistedQueryNotSupported = "PERSISTED_QUERY_NOT_SUPPORTED"
)

// Refusal returns the error with which an operation is refused.
func Refusal(code, message string) *gqlerror.Error {
	err := gqlerror.Errorf("%s", message)
	errcode.Set(err, code)
	return err
}

// MaxName is the length, in characters, beyond which replies cut a name.
const MaxName = 64
