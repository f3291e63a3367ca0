package program

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/alecthomas/kong"

	"lumen/cmd/internal/server"
	"lumen/graph"
	"lumen/graph/guard"
)

// doorFlags are what dev and serve are told of the doors.
type doorFlags struct {
	CORSOrigins []string `name:"cors-origins" env:"LUMEN_CORS_ORIGINS" placeholder:"ORIGIN" help:"The origins whose pages may call the doors from a browser (${env}), such as https://app.example.com."`

	TrustedDocuments     string `name:"trusted-documents" env:"LUMEN_TRUSTED_DOCUMENTS" placeholder:"FILE" help:"A manifest of GraphQL documents that clients may ask for by id (${env}): graphql-codegen's, Relay's or Apollo's."`
	TrustedDocumentsMode string `name:"trusted-documents-mode" env:"LUMEN_TRUSTED_DOCUMENTS_MODE" default:"also" placeholder:"also|only" help:"Whether GraphQL clients may send documents of their own, too, or the trusted only (${env}). Default: ${default}."`

	MaxBody          limit          `group:"Limits of GraphQL:" name:"graphql-max-body" env:"LUMEN_GRAPHQL_MAX_BODY" default:"${max_body}" placeholder:"N" help:"The largest GraphQL request body, in octets (${env}). Default: ${default}."`
	MaxTokens        limit          `group:"Limits of GraphQL:" name:"graphql-max-tokens" env:"LUMEN_GRAPHQL_MAX_TOKENS" default:"${max_tokens}" placeholder:"N" help:"How many tokens a GraphQL document may have (${env}). Default: ${default}."`
	MaxDepth         limit          `group:"Limits of GraphQL:" name:"graphql-max-depth" env:"LUMEN_GRAPHQL_MAX_DEPTH" default:"${max_depth}" placeholder:"N" help:"How deep GraphQL selections may nest (${env}). Default: ${default}."`
	MaxFields        limit          `group:"Limits of GraphQL:" name:"graphql-max-fields" env:"LUMEN_GRAPHQL_MAX_FIELDS" default:"${max_fields}" placeholder:"N" help:"How many fields a GraphQL operation may select (${env}). Default: ${default}."`
	MaxAliases       limit          `group:"Limits of GraphQL:" name:"graphql-max-aliases" env:"LUMEN_GRAPHQL_MAX_ALIASES" default:"${max_aliases}" placeholder:"N" help:"How many aliases a GraphQL operation may have (${env}). Default: ${default}."`
	MaxDirectives    limit          `group:"Limits of GraphQL:" name:"graphql-max-directives" env:"LUMEN_GRAPHQL_MAX_DIRECTIVES" default:"${max_directives}" placeholder:"N" help:"How many directives a GraphQL operation may have (${env}). Default: ${default}."`
	MaxValueDepth    limit          `group:"Limits of GraphQL:" name:"graphql-max-value-depth" env:"LUMEN_GRAPHQL_MAX_VALUE_DEPTH" default:"${max_value_depth}" placeholder:"N" help:"How deep values may nest, in GraphQL documents and variables (${env}). Default: ${default}."`
	MaxVariablesSize limit          `group:"Limits of GraphQL:" name:"graphql-max-variables-size" env:"LUMEN_GRAPHQL_MAX_VARIABLES_SIZE" default:"${max_variables_size}" placeholder:"N" help:"The largest text of GraphQL variables, in octets (${env}). Default: ${default}."`
	MaxIDs           limit          `group:"Limits of GraphQL:" name:"graphql-max-ids" env:"LUMEN_GRAPHQL_MAX_IDS" default:"${max_ids}" placeholder:"N" help:"How many ids one GraphQL list may have (${env}). Default: ${default}."`
	MaxErrors        limit          `group:"Limits of GraphQL:" name:"graphql-max-errors" env:"LUMEN_GRAPHQL_MAX_ERRORS" default:"${max_errors}" placeholder:"N" help:"How many errors a GraphQL reply lists (${env}). Default: ${default}."`
	MaxCost          limit          `group:"Limits of GraphQL:" name:"graphql-max-cost" env:"LUMEN_GRAPHQL_MAX_COST" default:"${max_cost}" placeholder:"N" help:"What a GraphQL operation may cost (${env}). Default: ${default}."`
	FieldCosts       map[string]int `group:"Limits of GraphQL:" name:"graphql-field-costs" env:"LUMEN_GRAPHQL_FIELD_COSTS" mapsep:"," placeholder:"TYPE.FIELD=N" help:"What GraphQL fields cost where it is not the default (${env})."`
}

// limit is a number from 1 on.
type limit int

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *limit) UnmarshalText(text []byte) error {
	n, err := strconv.ParseInt(string(text), 10, 31)
	if err != nil || n < 1 {
		return errors.New("a limit is a whole number from 1 to 1073741823")
	}
	*l = limit(n)
	return nil
}

// defaultLimits are the door's own, for the flags.
func defaultLimits() kong.Vars {
	limits := guard.DefaultLimits
	return kong.Vars{
		"max_body": strconv.Itoa(limits.Body), "max_tokens": strconv.Itoa(limits.Tokens), "max_depth": strconv.Itoa(limits.Depth),
		"max_fields": strconv.Itoa(limits.Fields), "max_aliases": strconv.Itoa(limits.Aliases), "max_directives": strconv.Itoa(limits.Directives),
		"max_value_depth": strconv.Itoa(limits.ValueDepth), "max_variables_size": strconv.Itoa(limits.VariablesSize),
		"max_ids": strconv.Itoa(limits.IDs), "max_errors": strconv.Itoa(limits.Errors), "max_cost": strconv.Itoa(limits.Cost),
	}
}

// apply adds to the options of a server what the flags say, and returns all that is wrong with them.
func (f doorFlags) apply(options *server.Options) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }

	options.GraphQL.Limits = guard.Limits{
		Body: int(f.MaxBody), Tokens: int(f.MaxTokens), Depth: int(f.MaxDepth), ValueDepth: int(f.MaxValueDepth),
		Fields: int(f.MaxFields), Aliases: int(f.MaxAliases), Directives: int(f.MaxDirectives),
		VariablesSize: int(f.MaxVariablesSize), IDs: int(f.MaxIDs), Errors: int(f.MaxErrors), Cost: int(f.MaxCost),
	}
	options.GraphQL.FieldCosts = f.FieldCosts
	if err := graph.CheckFieldCosts(f.FieldCosts); err != nil {
		fault("LUMEN_GRAPHQL_FIELD_COSTS: %s", err)
	}

	options.Origins = f.CORSOrigins
	for _, origin := range f.CORSOrigins {
		if !server.IsOrigin(origin) {
			fault("LUMEN_CORS_ORIGINS holds %q, which is not an origin; one looks like https://app.example.com", origin)
		}
	}

	switch f.TrustedDocumentsMode {
	case "also":
	case "only":
		if f.TrustedDocuments == "" {
			fault("LUMEN_TRUSTED_DOCUMENTS_MODE is only, but LUMEN_TRUSTED_DOCUMENTS names no manifest")
		}
	default:
		fault("LUMEN_TRUSTED_DOCUMENTS_MODE is neither also nor only")
	}
	if f.TrustedDocuments != "" {
		trusted, err := f.trust(options.GraphQL)
		if err != nil {
			fault("LUMEN_TRUSTED_DOCUMENTS: %s", err)
		}
		options.GraphQL.Trusted = trusted
	}
	return faults
}

func (f doorFlags) trust(options graph.Options) (*guard.Trusted, error) {
	manifest, err := os.ReadFile(f.TrustedDocuments)
	if err != nil {
		return nil, err
	}
	documents, err := guard.ReadManifest(manifest)
	if err != nil {
		return nil, err
	}
	return graph.Trust(documents, options, f.TrustedDocumentsMode == "only")
}
