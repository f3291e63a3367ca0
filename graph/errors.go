package graph

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime/debug"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"lumen/graph/guard"
	"lumen/graph/model"
	"lumen/store"
)

// userErrors divides what came of a mutation: what the caller can mend becomes user errors, anything else stays an
// error of the field. id is where the arguments name the customer that must exist.
func userErrors(ctx context.Context, err error, id ...string) ([]*model.UserError, error) {
	list := []*model.UserError{}
	if err == nil {
		return list, nil
	}
	known := store.AsError(err)
	tell(ctx, known.Code)
	one := func(path ...string) ([]*model.UserError, error) {
		return append(list, &model.UserError{Code: model.UserErrorCode(known.Code), Field: path, Message: known.Message}), nil
	}
	switch known.Code {
	case store.EmailRequired, store.EmailTaken:
		return one("input", "email")
	case store.InvalidID, store.NotFound:
		return one(id...)
	case store.InvalidInput:
		for _, f := range known.Faults {
			reason := model.InvalidInputReason(f.Reason)
			list = append(list, &model.UserError{
				Code: model.UserErrorCodeInvalidInput, Field: []string{"input", f.Field}, Message: f.Message, Reason: &reason,
			})
		}
		return list, nil
	default:
		return list, known
	}
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
		case errcode.ParseFailed, errcode.ValidationFailed, guard.LimitExceeded, guard.DocumentNotTrusted:
			fails(ctx, store.Code(code))
			return &gqlerror.Error{
				Message: wording(library.Message), Path: shortened(library.Path), Locations: library.Locations,
				Extensions: map[string]any{"code": code},
			}
		}
	}
	known := store.AsError(err)
	fails(ctx, known.Code)
	shown := &gqlerror.Error{Message: known.Message, Path: graphql.GetPath(ctx), Extensions: map[string]any{"code": known.Code}}
	if library != nil && len(shown.Path) == 0 { // The request is refused: the library knows where the fault is.
		shown.Path, shown.Locations = shortened(library.Path), library.Locations
	}
	if len(known.Faults) > 0 {
		shown.Extensions["details"] = details(known.Faults)
	}
	if known.Code == store.Internal || known.Code == store.Unavailable {
		shown.Extensions["requestId"] = p.requestID(ctx)
		if ctx.Err() != nil { // the client left: that is why, and nobody's fault
			return shown
		}
		if errors.Unwrap(known) != nil { // what was refused because too much goes on has none, and would fill the log
			p.log.ErrorContext(ctx, "operation failed", "code", known.Code, "field", schemaField(ctx), "error", known)
		}
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

// The library repeats in its messages what it did not expect. A name may stand there, a value may not: it can be
// anything, and of any length.
var (
	foundValue      = regexp.MustCompile(`(?s), found .*$`)
	unexpectedValue = regexp.MustCompile(`(?s)^(Unexpected|Expected \S+, found) (String|BlockString|Int|Float)\b.*$`)
	unfitValue      = regexp.MustCompile(`(?s)^(.*? cannot represent .*? value): .*$`)
	unknownEnum     = regexp.MustCompile(`(?s)^Value .* (does not exist in "\S+" enum\.)$`)
	invalidEnum     = regexp.MustCompile(`(?s)^.* is not a valid (\w+)$`)
	convertedValue  = regexp.MustCompile(`(?s)^cannot use .* as (\w+)(:.*)?$`)
	suggestion      = regexp.MustCompile(`(?s) Did you mean .*$`) // the library turns off only some of them
	longName        = regexp.MustCompile(`(?s)"([^"]{64})[^"]+"`)
)

// longWording is how much is read of either end of a message, in octets.
const longWording = 2000

// maxWording is the longest message of the library's that is passed on, in characters.
const maxWording = 300

func wording(message string) string {
	// What goes on for pages says what it is at its beginning and its end.
	if len(message) > 2*longWording {
		message = message[:longWording] + message[len(message)-longWording:]
	}
	message = suggestion.ReplaceAllString(message, "")
	message = unexpectedValue.ReplaceAllString(message, "$1 $2")
	message = foundValue.ReplaceAllString(message, "")
	message = unfitValue.ReplaceAllString(message, "$1")
	message = unknownEnum.ReplaceAllString(message, "Value $1")
	message = invalidEnum.ReplaceAllString(message, "not a valid $1")
	message = convertedValue.ReplaceAllString(message, "cannot be used as $1")
	message = longName.ReplaceAllString(message, `"$1..."`)
	if runes := []rune(message); len(runes) > maxWording {
		message = string(runes[:maxWording-3]) + "..."
	}
	return message
}

// shortened returns a path of the library's. That of a fault in a variable goes no further than the variable: beyond it
// are keys that the client sent, which can be anything. A long name of a variable is cut, as in wording.
func shortened(path ast.Path) ast.Path {
	if len(path) < 2 || path[0] != ast.PathName("variable") {
		return path
	}
	name, isName := path[1].(ast.PathName)
	if isName && len(name) > guard.MaxName {
		return ast.Path{path[0], name[:guard.MaxName] + "..."}
	}
	return path[:2]
}
