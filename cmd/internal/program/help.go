package program

import (
	"fmt"

	"github.com/alecthomas/kong"
)

// helpTexts are the help texts that are too long for a tag. A key names a command, a flag, or a
// flag of one command on which it means something else. ${env} and ${default} stand for the
// variable and the default.
var helpTexts = map[string]string{
	"token-key rotate": "Add a signing key. It begins to sign in five minutes, or at once if no other key signs. " +
		"The previous key still verifies the tokens that it signed.",
	"--algorithm": "How the key signs: EdDSA (the default), or ES256 for verifiers that do not know EdDSA. " +
		"Choose ES256 only after the last server of a version without it has stopped.",

	// Addresses, timeouts and the log.
	"--addr": "Address to listen on (${env}). Default: ${default}. Port 0 picks a free port.",
	"--private-addr": "Address of a listener for the operator: Prometheus metrics at /metrics, " +
		"Go profiles at /debug/pprof/, and health (${env}). Default: none.",
	"--start-timeout": "How long to wait for a database that does not answer yet (${env}). Default: ${default}.",
	"--base-path": "Path below which a proxy serves Lumen, such as /lumen (${env}). " +
		"Requests may arrive with it or without it.",
	"--idle-timeout": "How long an idle connection is kept (${env}). Default: ${default}. " +
		"Set it longer than the load balancer's own timeout.",
	"--shutdown-delay": "How long the server still accepts requests after a signal to stop, " +
		"while /readyz reports that it is stopping (${env}). Default: ${default}.",
	"--log-format": "Format of the log on standard error, json or text (${env}). Default: ${default}.",

	// The database.
	"--database-url": "Connection string of the service, used when --owner-database-url is not set (${env}).",
	"serve --database-url": "Connection string of a role that is a member of lumen_app and of no other role (${env}). " +
		"Required.",
	"--owner-database-url": "Connection string of the owner of the tables (${env}). Default: LUMEN_DATABASE_URL.",
	"--database-pooler": "The pooler in front of Postgres: none, " +
		"or transaction for one in transaction mode, such as PgBouncer (${env}). Default: ${default}.",
	"--database-connections": "Maximum number of connections for statements on customers (${env}). " +
		"Default: ${default}. The service opens up to six more, for credentials, for health checks and for requests that wait for changes.",
	"--merchant-concurrency": "Maximum number of statements of one merchant that run at once, " +
		"at most three quarters of the connections (${env}). Default: ${default}.",
	"--token-secret": "Secret that encrypts the keys that sign access tokens: 32 bytes in base64 (${env}).",

	// API keys.
	"--expires": "How long the key works: a number with d, h, m or s, such as 90d. Default: until it is revoked.",

	// The log of changes.
	"changes prune": "Delete the oldest changes of every merchant: all before its first change at or after a time. " +
		"Clients that have not read them must start again.",
	"--before": "Keep the changes from this time on: a time such as 2026-01-31T00:00:00Z, or a date.",
	"changes new-epoch": "Make all clients that follow the changes start again. " +
		"Use it after a restored backup, and after the promotion of a standby that may have lost commits.",

	// The Postgres of dev.
	"--data-dir": "Folder that keeps the data between runs (${env}). " +
		"Default: /var/lib/lumen for root, else the folder lumen in the user's data folder.",
	"--postgres-bin": "Folder of the Postgres programs to use (${env}). " +
		"Default: the ones on this machine, else a download.",
	"--postgres-repository": "Maven repository to download Postgres from (${env}). Default: Maven Central.",

	// What clients may do.
	"--playground":    "Serve the GraphQL playground at /playground. It asks for an API key (${env}).",
	"--introspection": "Let GraphQL clients read the schema (${env}).",
	"--cors-origins": "Origins whose pages may call both APIs from a browser (${env}), " +
		"such as https://app.example.com or capacitor://localhost.",
	"--trusted-documents": "Manifest of GraphQL documents that clients may send by ID (${env}): " +
		"graphql-codegen's, Relay's or Apollo's.",
	"--trusted-documents-mode": "Whether clients may also send other GraphQL documents, " +
		"or only the trusted ones (${env}). Default: ${default}.",

	// Limits of GraphQL.
	"--graphql-max-body":       "Maximum size of a request body, in bytes (${env}). Default: ${default}.",
	"--graphql-max-tokens":     "Maximum number of tokens in a document (${env}). Default: ${default}.",
	"--graphql-max-depth":      "Maximum depth of nested selections (${env}). Default: ${default}.",
	"--graphql-max-fields":     "Maximum number of fields in an operation (${env}). Default: ${default}.",
	"--graphql-max-aliases":    "Maximum number of aliases in an operation (${env}). Default: ${default}.",
	"--graphql-max-directives": "Maximum number of directives in an operation (${env}). Default: ${default}.",
	"--graphql-max-value-depth": "Maximum depth of nested values in documents and variables (${env}). " +
		"Default: ${default}.",
	"--graphql-max-variables-size": "Maximum size of the variables, in bytes (${env}). Default: ${default}.",
	"--graphql-max-ids":            "Maximum number of IDs in a list (${env}). Default: ${default}.",
	"--graphql-max-errors":         "Maximum number of errors in a reply (${env}). Default: ${default}.",
	"--graphql-max-cost":           "Maximum cost of an operation (${env}). Default: ${default}.",
	"--graphql-field-costs": "Costs of fields that differ from the default, " +
		"such as Query.customers=10,Customer.id=0 (${env}).",

	// Rates.
	"--key-rate": "Maximum requests per second of one API key and the access tokens that it created (${env}). " +
		"Default: ${default}, no limit.",
	"--merchant-rate": "Maximum requests per second of all keys and tokens of one merchant (${env}). " +
		"Default: ${default}, no limit.",
	"--customer-rate": "Maximum requests per second of all access tokens bound to one customer (${env}). " +
		"Default: a tenth of --key-rate. 0 is no limit.",
	"--rate-burst": "How many seconds' worth of requests may arrive at once (${env}). Default: ${default}.",
}

// describe sets the help text of each command and flag that has none in its tag from helpTexts.
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
			v.OrigHelp = v.Help // kong checks here whether the text names the variable
		}
		return next(nil)
	})
}
