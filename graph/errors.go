package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"lumen/graph/guard"
	"lumen/graph/model"
	"lumen/store"
)

// userErrors splits the error of a mutation into user errors, which the client can correct, and an
// error of the field. A code of the enum UserErrorCode makes user errors; any other code stays an
// error of the field. A conflict is about the argument expectedVersion, and any other error that
// names no field of the input about the argument id.
func userErrors(ctx context.Context, err error) ([]*model.UserError, error) {
	list := []*model.UserError{}
	if err == nil {
		return list, nil
	}
	known := store.AsError(err)
	recordCode(ctx, known.Code)
	code := model.UserErrorCode(known.Code)
	if !code.IsValid() {
		return list, known
	}
	for _, f := range known.Faults {
		reason, path := model.InvalidInputReason(f.Reason), []string{"input", f.Field}
		if f.InHeader {
			path = path[1:]
		}
		list = append(list, &model.UserError{Code: code, Field: path, Message: f.Message, Reason: &reason})
	}
	if len(list) == 0 {
		path := []string{"id"}
		switch {
		case known.Code == store.VersionConflict:
			path = []string{"expectedVersion"}
		case known.Field != "":
			path = []string{"input", known.Field}
		}
		list = append(list, &model.UserError{Code: code, Field: path, Message: known.Message})
	}
	return list, nil
}

// presenter turns each top-level error into one that a client may see. Errors of the store keep
// their registered message. Refusals of a document or a variable keep the library's message,
// without values. Every other error becomes store.Internal.
type presenter struct {
	requestID func(context.Context) string
	log       *slog.Logger
}

func (p presenter) present(ctx context.Context, err error) *gqlerror.Error {
	var library *gqlerror.Error
	if errors.As(err, &library) {
		switch code, _ := library.Extensions["code"].(string); code {
		case errcode.ParseFailed, errcode.ValidationFailed, guard.LimitExceeded, guard.DocumentNotTrusted,
			guard.PersistedQueryNotSupported:
			recordFailure(ctx, store.Code(code))
			return &gqlerror.Error{
				Message: safeMessage(library), Path: safePath(library.Path), Locations: library.Locations,
				Extensions: map[string]any{"code": code},
			}
		}
	}
	known := store.AsError(err)
	recordFailure(ctx, known.Outcome())
	shown := &gqlerror.Error{
		Message: known.Message, Path: graphql.GetPath(ctx), Extensions: map[string]any{"code": known.Code},
	}
	if library != nil && len(shown.Path) == 0 { // No field ran, so only the library knows the place.
		shown.Path, shown.Locations = safePath(library.Path), library.Locations
	}
	if len(known.Faults) > 0 {
		shown.Extensions["details"] = details(known.Faults)
	}
	if known.Code == store.Internal || known.Code == store.Unavailable {
		shown.Extensions["requestId"] = p.requestID(ctx)
	}
	if known.IsLogged() {
		p.log.ErrorContext(ctx, "operation failed", "code", known.Code, "field", schemaField(ctx), "error", known)
	}
	return shown
}

// schemaField returns the field of ctx by its names in the schema, such as "Query.customer", or "".
// A path would hold the client's aliases, which must not reach the log.
func schemaField(ctx context.Context) string {
	if field := graphql.GetFieldContext(ctx); field != nil && field.Field.Field != nil {
		return field.Object + "." + field.Field.Name
	}
	return ""
}

func details(faults []store.Fault) []map[string]any {
	list := make([]map[string]any, len(faults))
	for i, f := range faults {
		list[i] = map[string]any{"field": f.Field, "code": f.Reason, "message": f.Message}
	}
	return list
}

// recoverPanic logs a panic with its stack and returns the store.Internal that the client sees.
func (p presenter) recoverPanic(ctx context.Context, cause any) error {
	p.log.ErrorContext(ctx, "panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	return store.NewError(store.Internal)
}

// maxMessage is the length of the longest library message that a client sees, in characters.
const maxMessage = 300

// safeMessage returns the message of a library error without values that the client sent. A value
// can be personal data of any length. The library repeats values in the messages of the parser, of
// the rule ValuesOfCorrectType and of the check of variables. Names stay, cut at guard.MaxName
// characters.
func safeMessage(refused *gqlerror.Error) string {
	message := refused.Message
	switch {
	case refused.Rule == rules.ValuesOfCorrectTypeRule.Name:
		message = withoutLiteral(message)
	case isVariablePath(refused.Path):
		message = withoutVariable(message)
	case refused.Extensions["code"] == errcode.ParseFailed:
		message = withoutToken(message)
	}
	parts := strings.Split(message, `"`)
	for i := 1; i < len(parts); i += 2 { // the quoted parts
		if name := []rune(parts[i]); len(name) > guard.MaxName {
			parts[i] = string(name[:guard.MaxName]) + "..."
		}
	}
	text := []rune(strings.Join(parts, `"`))
	if len(text) > maxMessage {
		return string(text[:maxMessage-3]) + "..."
	}
	return string(text)
}

// withoutLiteral removes the literal from a message of the rule ValuesOfCorrectType. The literal
// follows the type, except in the message about an unknown enum value.
func withoutLiteral(message string) string {
	const unknownEnum = " does not exist in "
	message, _, _ = strings.Cut(message, ", found ") // Expected value of type "ID!", found {a:1}.
	message, _, _ = strings.Cut(message, ": ")       // Int cannot represent non-integer value: "a"
	if _, enum, found := strings.Cut(message, unknownEnum); found {
		return "Value" + unknownEnum + enum // Value "A" does not exist in "Access" enum.
	}
	return message
}

// withoutVariable removes the value from a message about a variable. The message about an enum
// begins with the value, so everything before the type goes. The other values are numbers.
func withoutVariable(message string) string {
	const unknownEnum = " is not a valid "
	if at := strings.LastIndex(message, unknownEnum); at >= 0 {
		return "not a valid " + message[at+len(unknownEnum):] // A is not a valid Access
	}
	if number, found := strings.CutPrefix(message, "cannot use "); found { // cannot use 1.5 as ID: ...
		_, as, _ := strings.Cut(number, " as ")
		inputType, _, _ := strings.Cut(as, ":")
		return "cannot be used as " + inputType
	}
	return message
}

// withoutToken removes the text of the token from a parser's message, unless the message is about
// an unexpected name.
func withoutToken(message string) string {
	kind, _, isQuoted := strings.Cut(message, ` "`)
	if isQuoted && strings.HasPrefix(kind, "Unexpected ") && kind != "Unexpected Name" {
		return kind // Unexpected String "a"
	}
	message, _, _ = strings.Cut(message, ", found ") // Expected Name, found String
	return message
}

// isVariablePath reports whether a path of a library error leads to a variable.
func isVariablePath(path ast.Path) bool { return len(path) > 1 && path[0] == ast.PathName("variable") }

// safePath returns the path of a library error, cut behind the name of a variable: the keys that
// follow are the client's own and can hold any text. A name of more than guard.MaxName bytes is
// cut.
func safePath(path ast.Path) ast.Path {
	if !isVariablePath(path) {
		return path
	}
	name, isName := path[1].(ast.PathName)
	if isName && len(name) > guard.MaxName {
		return ast.Path{path[0], name[:guard.MaxName] + "..."}
	}
	return path[:2]
}
