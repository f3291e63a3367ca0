package program

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// helpTexts are the help texts that are too long for a tag. A key names a command, a flag, or a flag of one command
// where it means something else. ${env} and ${default} stand for the flag's variable and its default.
var helpTexts = map[string]string{
	"token-key rotate": "Add a signing key. It signs five minutes later, or at once when it is the first; " +
		"the one before it goes on to verify its tokens.",
	"--algorithm": "How the key signs: EdDSA (the default), or ES256 for verifiers that do not know EdDSA. " +
		"Choose ES256 only after the last server of a version without it is gone.",

	// Where it runs.
	"--addr": "Where to listen (${env}). Default: ${default}. Port 0 picks a free one.",
	"--private-addr": "Where to listen for the operator: Prometheus metrics at /metrics, " +
		"Go's profiles at /debug/pprof/, and how the server is (${env}). Default: nowhere.",
	"--start-timeout": "How long to wait for a database that is not there yet (${env}). Default: ${default}.",
	"--base-path": "The path in front of all others, where a proxy serves more than Lumen, such as /lumen (${env}). " +
		"Requests may come with it or without.",
	"--idle-timeout": "How long a connection is kept after a request without another one (${env}). " +
		"Default: ${default}. Longer than the load balancer's own.",
	"--shutdown-delay": "How long requests are still taken after a signal to stop, " +
		"while /readyz says not to send any (${env}). Default: ${default}.",
	"--log-format": "How the log on standard error is written, json or text (${env}). Default: ${default}.",

	// Its database.
	"--database-url": "The service's database, used here when there is no owner's URL (${env}).",
	"serve --database-url": "The database, as a role that is a member of lumen_app " +
		"and of nothing more (${env}). Required.",
	"--owner-database-url": "The database as the owner of its tables (${env}). Default: LUMEN_DATABASE_URL.",
	"--database-pooler": "What stands in front of the database: none, " +
		"or a pooler such as PgBouncer in transaction mode (${env}). Default: ${default}.",
	"--database-connections": "How many connections to the database statements on customers may use (${env}). " +
		"Default: ${default}. Five more look up credentials and try the database.",
	"--merchant-concurrency": "How many statements of one merchant may run at once, " +
		"at the most three quarters of the connections (${env}). Default: ${default}.",
	"--token-secret": "What seals the keys that sign access tokens: the base64 of 32 bytes (${env}).",

	// API keys.
	"--expires": "How long the key works, as a number with d, h, m or s. Default: until it is revoked.",

	// The Postgres of dev.
	"--data-dir": "Where the data is kept between runs (${env}). " +
		"Default: a folder of the user's, as root /var/lib/lumen.",
	"--postgres-bin": "The folder with the Postgres programs to use (${env}). " +
		"Default: those found on the machine, else a download.",
	"--postgres-repository": "The Maven repository that Postgres is downloaded from (${env}). Default: Maven Central.",

	// What clients may do.
	"--playground":    "Serve the GraphQL playground at /playground; it asks for a key (${env}).",
	"--introspection": "Let GraphQL clients read the schema (${env}).",
	"--cors-origins": "The origins whose pages may call the doors from a browser (${env}), " +
		"such as https://app.example.com or capacitor://localhost.",
	"--trusted-documents": "A manifest of GraphQL documents that clients may ask for by id (${env}): " +
		"graphql-codegen's, Relay's or Apollo's.",
	"--trusted-documents-mode": "Whether GraphQL clients may send documents of their own, too, " +
		"or the trusted only (${env}). Default: ${default}.",

	// Limits of GraphQL.
	"--graphql-max-body":       "The largest GraphQL request body, in octets (${env}). Default: ${default}.",
	"--graphql-max-tokens":     "How many tokens a GraphQL document may have (${env}). Default: ${default}.",
	"--graphql-max-depth":      "How deep GraphQL selections may nest (${env}). Default: ${default}.",
	"--graphql-max-fields":     "How many fields a GraphQL operation may select (${env}). Default: ${default}.",
	"--graphql-max-aliases":    "How many aliases a GraphQL operation may have (${env}). Default: ${default}.",
	"--graphql-max-directives": "How many directives a GraphQL operation may have (${env}). Default: ${default}.",
	"--graphql-max-value-depth": "How deep values may nest, in GraphQL documents and variables (${env}). " +
		"Default: ${default}.",
	"--graphql-max-variables-size": "The largest text of GraphQL variables, in octets (${env}). " +
		"Default: ${default}.",
	"--graphql-max-ids":     "How many ids one GraphQL list may have (${env}). Default: ${default}.",
	"--graphql-max-errors":  "How many errors a GraphQL reply lists (${env}). Default: ${default}.",
	"--graphql-max-cost":    "What a GraphQL operation may cost (${env}). Default: ${default}.",
	"--graphql-field-costs": "What GraphQL fields cost where it is not the default (${env}).",

	// Rates.
	"--key-rate": "How many requests a second one API key may send, " +
		"with the access tokens that it made (${env}). Default: ${default}, no limit.",
	"--merchant-rate": "How many requests a second all keys of one merchant may send together (${env}). " +
		"Default: ${default}, no limit.",
	"--customer-rate": "How many requests a second all access tokens bound to one customer may send together (${env}). " +
		"Default: a tenth of --key-rate; 0 is no limit.",
	"--rate-burst": "How many seconds' worth of requests may come at once (${env}). Default: ${default}.",
}

// describe gives each command and each flag without a help text in its tag the one in helpTexts.
func describe(k *kong.Kong) error {
	command := ""
	return kong.Visit(k.Model, func(visited kong.Visitable, next kong.Next) error {
		switch v := visited.(type) {
		case *kong.Node:
			command = v.Path()
			if v.Help == "" {
				v.Help = helpTexts[command]
			}
			if v.Help == "" {
				return fmt.Errorf("command %q has no help text", command)
			}
		case *kong.Flag:
			flag := "--" + v.Name
			if v.Help == "" {
				v.Help = helpTexts[command+" "+flag]
			}
			if v.Help == "" {
				v.Help = helpTexts[flag]
			}
			if v.Help == "" {
				return fmt.Errorf("%s of command %q has no help text", flag, command)
			}
			v.OrigHelp = v.Help // kong looks there whether the text names the variable
		}
		return next(nil)
	})
}
