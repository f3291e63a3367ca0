package guard

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/core"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// Documents finds the document of a request: a trusted one, a cached one, or one that it parses. It
// returns only valid documents within the limits. gqlgen's executor does not parse, because it
// would validate a document before the limits can be checked.
type Documents struct {
	schema  Schema
	limits  Limits
	trusted *Trusted
	cache   *documentCache
}

// Document is a valid document within the limits.
type Document struct {
	Text       string
	tree       *ast.QueryDocument
	uses       variableUses
	rootFields map[*ast.OperationDefinition]string // see graph.Outcome.Operation
	memo       sync.Map
}

// Memo returns a map for values that are computed from the document of ctx alone. It lives as long
// as the document. It is nil if ctx has no document.
func Memo(ctx context.Context) *sync.Map {
	if document, ok := ctx.Value(documentKey{}).(*Document); ok {
		return &document.memo
	}
	return nil
}

// Operation returns the operation with this name. With the name "" it returns the only operation.
// The error says why there is none.
func (d *Document) Operation(name string) (*ast.OperationDefinition, *gqlerror.Error) {
	if operation := d.tree.Operations.ForName(name); operation != nil {
		return operation, nil
	}
	if name == "" {
		return nil, Refusal(errcode.ValidationFailed,
			"the document has several operations: operationName must name one of them")
	}
	return nil, Refusal(errcode.ValidationFailed, "the document has no operation of this name")
}

// RootField returns the name in the schema of the root field that an operation of the document
// selects, or SeveralFields.
func (d *Document) RootField(operation *ast.OperationDefinition) string {
	return d.rootFields[operation]
}

// NewDocuments returns a Documents with an empty cache. trusted may be nil.
func NewDocuments(schema Schema, limits Limits, trusted *Trusted) *Documents {
	return &Documents{
		schema: schema, limits: limits, trusted: trusted, cache: newDocumentCache(limits.Tokens),
	}
}

// Find returns the document of a request and its source, or the errors that refuse the request.
func (d *Documents) Find(request *Request) (*Document, DocumentSource, gqlerror.List) {
	trusted := d.trusted.find(request.DocumentID)
	switch {
	case trusted != nil && (request.Query == nil || *request.Query == trusted.Text):
		return trusted, TrustedDocument, nil
	case trusted != nil:
		return nil, NoDocument, gqlerror.List{Refusal(DocumentNotTrusted, "the id belongs to another document")}
	case d.trusted.Only():
		return nil, NoDocument, gqlerror.List{Refusal(DocumentNotTrusted, "this server executes only trusted documents")}
	case request.Query == nil: // On this message the clients of Apollo and urql send the document.
		return nil, NoDocument, gqlerror.List{Refusal(PersistedQueryNotSupported, "PersistedQueryNotSupported")}
	}
	if cached := d.cache.get(*request.Query); cached != nil {
		return cached, KeptDocument, nil
	}
	parsed, refused := d.parse(*request.Query)
	if len(refused) == 0 && !holdsString(parsed.Text) {
		d.cache.add(parsed)
	}
	return parsed, ParsedDocument, refused
}

func (d *Documents) parse(text string) (*Document, gqlerror.List) {
	if hasHalfPair(text) {
		return nil, gqlerror.List{Refusal(errcode.ParseFailed, "a string contains half of a surrogate pair")}
	}
	tree, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, d.limits.Tokens)
	if err != nil {
		fault := gqlerror.WrapIfUnwrapped(err)
		if strings.HasPrefix(fault.Message, "exceeded ") { // the parser's limits of tokens and of depth
			return nil, gqlerror.List{Refusal(LimitExceeded, fault.Message)}
		}
		errcode.Set(fault, errcode.ParseFailed)
		return nil, gqlerror.List{fault}
	}
	if len(tree.Operations) == 0 {
		return nil, gqlerror.List{Refusal(errcode.ValidationFailed, "no operation provided")}
	}
	size := measure(tree)
	if beyond := d.limits.check(size); beyond != nil {
		return nil, gqlerror.List{beyond}
	}
	if size.unknown != nil { // Before it reports them, validation compares all spreads in pairs.
		fault := gqlerror.ErrorPosf(size.unknown.Position, "Unknown fragment %q.", size.unknown.Name)
		errcode.Set(fault, errcode.ValidationFailed)
		return nil, gqlerror.List{fault}
	}
	return d.validate(text, tree)
}

// validate returns the document of a tree that is within the limits. If the list of faults is
// empty, the document is ready to be executed.
func (d *Documents) validate(text string, tree *ast.QueryDocument) (*Document, gqlerror.List) {
	prepared := &Document{Text: text, tree: tree, rootFields: make(map[*ast.OperationDefinition]string)}
	faults := validator.ValidateWithRules(d.schema.Schema, tree, withoutSuggestions())
	for _, fault := range faults {
		errcode.Set(fault, errcode.ValidationFailed)
	}
	if len(faults) > 0 {
		return prepared, faults
	}
	prepared.uses, faults = checkLiterals(d.schema, tree)
	for _, operation := range tree.Operations {
		undefer(operation.SelectionSet)
	}
	for _, fragment := range tree.Fragments {
		undefer(fragment.SelectionSet)
	}
	fragments := make(rootFields)
	for _, operation := range tree.Operations {
		prepared.rootFields[operation] = fragments.of(operation.SelectionSet)
	}
	return prepared, faults
}

// undefer removes @defer from a selection. This server sends a single reply, and gqlgen, which
// always supports @defer, would leave deferred fields out of it.
func undefer(set ast.SelectionSet) {
	without := func(list ast.DirectiveList) ast.DirectiveList {
		return slices.DeleteFunc(list, func(d *ast.Directive) bool { return d.Name == "defer" })
	}
	for _, selection := range set {
		switch s := selection.(type) {
		case *ast.Field:
			undefer(s.SelectionSet)
		case *ast.InlineFragment:
			s.Directives = without(s.Directives)
			undefer(s.SelectionSet)
		case *ast.FragmentSpread:
			s.Directives = without(s.Directives)
		}
	}
}

// withoutSuggestions returns the validation rules with messages that suggest no names of the
// schema.
func withoutSuggestions() *rules.Rules {
	all := rules.NewDefaultRules()
	for suggesting, silent := range map[string]core.Rule{
		rules.FieldsOnCorrectTypeRule.Name: rules.FieldsOnCorrectTypeRuleWithoutSuggestions,
		rules.KnownArgumentNamesRule.Name:  rules.KnownArgumentNamesRuleWithoutSuggestions,
		rules.KnownTypeNamesRule.Name:      rules.KnownTypeNamesRuleWithoutSuggestions,
		rules.ScalarLeafsRule.Name:         rules.ScalarLeafsRuleWithoutSuggestions,
		rules.ValuesOfCorrectTypeRule.Name: rules.ValuesOfCorrectTypeRuleWithoutSuggestions,
	} {
		all.ReplaceRule(suggesting, silent.RuleFunc)
	}
	return all
}

type documentKey struct{}

// WithDocument returns a context with the document that PreparedDocument passes to the executor.
func WithDocument(ctx context.Context, document *Document) context.Context {
	return context.WithValue(ctx, documentKey{}, document)
}

// PreparedDocument is a cache that returns the document of the context. So the executor parses
// nothing and executes exactly the document that was checked.
type PreparedDocument struct{}

var _ graphql.Cache[*ast.QueryDocument] = PreparedDocument{}

// Get implements graphql.Cache.
func (PreparedDocument) Get(ctx context.Context, _ string) (*ast.QueryDocument, bool) {
	prepared, ok := ctx.Value(documentKey{}).(*Document)
	if !ok {
		return nil, false
	}
	return prepared.tree, true
}

// Add implements graphql.Cache.
func (PreparedDocument) Add(context.Context, string, *ast.QueryDocument) {}

// lexeme matches the tokens that can hold a quote: a block string, in which \u is not an escape; a
// comment; and a string. The group matches the text inside a string.
var lexeme = regexp.MustCompile(`(?s)"""(?:\\"""|.)*?"""|#[^\n\r]*|"((?:[^"\\\n\r]|\\.)*)"`)

// escape matches one escape, or two that form a surrogate pair. Its groups match half a pair.
var escape = regexp.MustCompile(
	`(?i)\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(ud[89a-f][0-9a-f]{2})|(u\{0*d[89a-f][0-9a-f]{2}\})|.)`)

// hasHalfPair reports whether a document has an escape that is half a surrogate pair. The parser
// would read it as U+FFFD, so the server would store a text that the client did not send.
func hasHalfPair(text string) bool {
	for _, inside := range lexeme.FindAllStringSubmatch(text, -1) {
		for _, match := range escape.FindAllStringSubmatch(inside[1], -1) {
			if match[1] != "" || match[2] != "" {
				return true
			}
		}
	}
	return false
}
