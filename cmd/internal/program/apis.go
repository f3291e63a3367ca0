package program

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"lumen/cmd/internal/server"
	"lumen/graph"
	"lumen/graph/guard"
)

// apiFlags are the flags of both APIs. dev and serve have them.
type apiFlags struct {
	CORSOrigins []string      `name:"cors-origins" env:"LUMEN_CORS_ORIGINS" placeholder:"ORIGIN"`
	BasePath    string        `env:"LUMEN_BASE_PATH" placeholder:"PATH"`
	IdleTimeout time.Duration `env:"LUMEN_IDLE_TIMEOUT" default:"620s" placeholder:"DURATION"`

	TrustedDocuments     string `env:"LUMEN_TRUSTED_DOCUMENTS" placeholder:"FILE"`
	TrustedDocumentsMode string `env:"LUMEN_TRUSTED_DOCUMENTS_MODE" default:"also" placeholder:"also|only"`

	GraphQL graphqlFlags `embed:"" group:"Limits of GraphQL:" prefix:"graphql-" envprefix:"LUMEN_GRAPHQL_"`
}

// graphqlFlags limit the size and the cost of GraphQL operations.
type graphqlFlags struct {
	Max        limitFlags     `embed:"" prefix:"max-" envprefix:"MAX_"`
	FieldCosts map[string]int `env:"FIELD_COSTS" mapsep:"," placeholder:"TYPE.FIELD=N"`
}

// limitFlags set guard.Limits.
type limitFlags struct {
	Body          limit `env:"BODY" default:"${max_body}" placeholder:"N"`
	Tokens        limit `env:"TOKENS" default:"${max_tokens}" placeholder:"N"`
	Depth         limit `env:"DEPTH" default:"${max_depth}" placeholder:"N"`
	Fields        limit `env:"FIELDS" default:"${max_fields}" placeholder:"N"`
	Aliases       limit `env:"ALIASES" default:"${max_aliases}" placeholder:"N"`
	Directives    limit `env:"DIRECTIVES" default:"${max_directives}" placeholder:"N"`
	ValueDepth    limit `env:"VALUE_DEPTH" default:"${max_value_depth}" placeholder:"N"`
	VariablesSize limit `env:"VARIABLES_SIZE" default:"${max_variables_size}" placeholder:"N"`
	IDs           limit `name:"ids" env:"IDS" default:"${max_ids}" placeholder:"N"`
	Errors        limit `env:"ERRORS" default:"${max_errors}" placeholder:"N"`
	Cost          limit `env:"COST" default:"${max_cost}" placeholder:"N"`
}

// limit is a whole number of at least 1.
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

// defaultLimits returns the defaults of limitFlags as the variables in its tags.
func defaultLimits() kong.Vars {
	limits := guard.DefaultLimits
	return kong.Vars{
		"max_body":           strconv.Itoa(limits.Body),
		"max_tokens":         strconv.Itoa(limits.Tokens),
		"max_depth":          strconv.Itoa(limits.Depth),
		"max_fields":         strconv.Itoa(limits.Fields),
		"max_aliases":        strconv.Itoa(limits.Aliases),
		"max_directives":     strconv.Itoa(limits.Directives),
		"max_value_depth":    strconv.Itoa(limits.ValueDepth),
		"max_variables_size": strconv.Itoa(limits.VariablesSize),
		"max_ids":            strconv.Itoa(limits.IDs),
		"max_errors":         strconv.Itoa(limits.Errors),
		"max_cost":           strconv.Itoa(limits.Cost),
	}
}

// limits returns the limits that the flags set.
func (f limitFlags) limits() guard.Limits {
	return guard.Limits{
		Body:          int(f.Body),
		Tokens:        int(f.Tokens),
		Depth:         int(f.Depth),
		ValueDepth:    int(f.ValueDepth),
		Fields:        int(f.Fields),
		Aliases:       int(f.Aliases),
		Directives:    int(f.Directives),
		VariablesSize: int(f.VariablesSize),
		IDs:           int(f.IDs),
		Errors:        int(f.Errors),
		Cost:          int(f.Cost),
	}
}

// apply sets the options of a server from the flags. It returns all faults of the flags.
func (f apiFlags) apply(options *server.Options, s settings) (wrong faults) {
	// fault adds a fault. Its text begins with the variable, or with the flag if the user gave that
	// instead.
	fault := func(variable, format string, args ...any) {
		wrong.add("%s"+format, append([]any{s.name(variable)}, args...)...)
	}

	options.GraphQL.Limits = f.GraphQL.Max.limits()
	options.GraphQL.FieldCosts = make(map[string]int)
	for field, cost := range f.GraphQL.FieldCosts {
		options.GraphQL.FieldCosts[strings.TrimSpace(field)] = cost
	}
	if err := graph.CheckFieldCosts(options.GraphQL.FieldCosts); err != nil {
		fault("LUMEN_GRAPHQL_FIELD_COSTS", ": %s", err)
	}

	for _, origin := range f.CORSOrigins {
		origin = strings.TrimSpace(origin)
		options.Origins = append(options.Origins, origin)
		if !server.IsOrigin(origin) {
			fault("LUMEN_CORS_ORIGINS", " holds %q, which is not an origin; one looks like https://app.example.com", origin)
		}
	}

	options.BasePath = f.BasePath
	if f.BasePath != "" {
		if err := server.CheckBasePath(f.BasePath); err != nil {
			fault("LUMEN_BASE_PATH", " %s", err)
		}
	}
	if f.IdleTimeout < time.Second || f.IdleTimeout > 24*time.Hour {
		fault("LUMEN_IDLE_TIMEOUT", " must be 1s to 24h, such as 620s")
	}

	switch f.TrustedDocumentsMode {
	case "also":
	case "only":
		if f.TrustedDocuments == "" {
			fault("LUMEN_TRUSTED_DOCUMENTS_MODE", " is only, so %s must name a manifest", s.name("LUMEN_TRUSTED_DOCUMENTS"))
		}
	default:
		fault("LUMEN_TRUSTED_DOCUMENTS_MODE", " must be also or only")
	}
	if f.TrustedDocuments != "" {
		trusted, err := f.trust(options.GraphQL)
		if err != nil {
			fault("LUMEN_TRUSTED_DOCUMENTS", ": %s", err)
		}
		options.GraphQL.Trusted = trusted
	}
	return wrong
}

func (f apiFlags) trust(options graph.Options) (*guard.Trusted, error) {
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
