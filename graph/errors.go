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

// userErrors divides the outcomes of a mutation: outcomes that the caller can mend become user errors, all
// others stay errors of the field. An outcome that names no field of the input is about the argument id.
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
		reason := model.InvalidInputReason(f.Reason)
		list = append(list, &model.UserError{Code: code, Field: []string{"input", f.Field}, Message: f.Message, Reason: &reason})
	}
	if len(list) == 0 {
		path := []string{"id"}
		if known.Field != "" {
			path = []string{"input", known.Field}
		}
		list = append(list, &model.UserError{Code: code, Field: path, Message: known.Message})
	}
	return list, nil
}

// presenter turns every top-level error into one that a caller may see: the registry's, the library's wording for a
// document it refused, and Internal for all else.
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
				Message: wording(library), Path: shortened(library.Path), Locations: library.Locations,
				Extensions: map[string]any{"code": code},
			}
		}
	}
	known := store.AsError(err)
	recordFailure(ctx, known.Outcome())
	shown := &gqlerror.Error{Message: known.Message, Path: graphql.GetPath(ctx), Extensions: map[string]any{"code": known.Code}}
	if library != nil && len(shown.Path) == 0 { // The request is refused: the library knows where the fault is.
		shown.Path, shown.Locations = shortened(library.Path), library.Locations
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

// schemaField is the field that ctx is in as the schema calls it, where a path has the client's aliases.
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

// recovered is what a panic becomes; its stack goes to the log alone.
func (p presenter) recovered(ctx context.Context, cause any) error {
	p.log.ErrorContext(ctx, "panic", "cause", fmt.Sprint(cause), "stack", string(debug.Stack()))
	return store.NewError(store.Internal)
}

// maxWording is the longest message of the library's that is passed on, in characters.
const maxWording = 300

// wording returns the library's message as clients may see it. The library repeats what it did not
// expect. A name may stand there, cut when it is long. A value may not: it can be anything, and of
// any length. Values stand in the messages of one rule of validation, of the parser, and of the
// check of variables.
func wording(refused *gqlerror.Error) string {
	message := refused.Message
	switch {
	case refused.Rule == rules.ValuesOfCorrectTypeRule.Name:
		message = withoutLiteral(message)
	case isOfVariable(refused.Path):
		message = withoutVariable(message)
	case refused.Extensions["code"] == errcode.ParseFailed:
		message = withoutToken(message)
	}
	parts := strings.Split(message, `"`)
	for i := 1; i < len(parts); i += 2 { // what stands in quotes
		if name := []rune(parts[i]); len(name) > guard.MaxName {
			parts[i] = string(name[:guard.MaxName]) + "..."
		}
	}
	text := []rune(strings.Join(parts, `"`))
	if len(text) > maxWording {
		return string(text[:maxWording-3]) + "..."
	}
	return string(text)
}

// withoutLiteral takes the literal out of a message of the rule ValuesOfCorrectType. The type comes
// before the literal, but in the message of an unknown enum value.
func withoutLiteral(message string) string {
	const unknownEnum = " does not exist in "
	message, _, _ = strings.Cut(message, ", found ") // Expected value of type "ID!", found {a:1}.
	message, _, _ = strings.Cut(message, ": ")       // Int cannot represent non-integer value: "a"
	if _, enum, found := strings.Cut(message, unknownEnum); found {
		return "Value" + unknownEnum + enum // Value "A" does not exist in "Access" enum.
	}
	return message
}

// withoutVariable takes the value out of a message about a variable. An enum's value comes first in
// its message, so all before the type goes; the other values are numbers.
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

// withoutToken takes out of a parser's message what it found, unless that is a name where none is
// expected.
func withoutToken(message string) string {
	kind, _, isQuoted := strings.Cut(message, ` "`)
	if isQuoted && strings.HasPrefix(kind, "Unexpected ") && kind != "Unexpected Name" {
		return kind // Unexpected String "a"
	}
	message, _, _ = strings.Cut(message, ", found ") // Expected Name, found String
	return message
}

// isOfVariable reports whether a path of the library's leads to a variable.
func isOfVariable(path ast.Path) bool { return len(path) > 1 && path[0] == ast.PathName("variable") }

// shortened returns a path of the library's. That of a fault in a variable goes no further than the variable: beyond it
// are keys that the client sent, which can be anything. A long name of a variable is cut, as in wording.
func shortened(path ast.Path) ast.Path {
	if !isOfVariable(path) {
		return path
	}
	name, isName := path[1].(ast.PathName)
	if isName && len(name) > guard.MaxName {
		return ast.Path{path[0], name[:guard.MaxName] + "..."}
	}
	return path[:2]
}
