// Package postgres connects to Postgres: it parses connection strings, makes the settings of
// sessions, opens pools of plain connections, detects dead connections, and classifies errors. It
// knows nothing of merchants.
package postgres

import (
	"errors"
	"io/fs"
	"maps"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/jackc/pgx/v5"
)

// connectTimeout is the time limit to connect, unless the connection string sets one.
const connectTimeout = 5 * time.Second

// ParseService parses the connection string of `lumen serve`. Its errors say what is wrong and
// never repeat the string, which may hold a password.
func ParseService(text string) (*pgx.ConnConfig, error) { return parse(text, serviceSettings) }

// ParseOwner parses the connection string of the operator's commands. Its errors are like those of
// ParseService.
func ParseOwner(text string) (*pgx.ConnConfig, error) { return parse(text, ownerSettings) }

func parse(text string, more []setting) (*pgx.ConnConfig, error) {
	text = strings.TrimSpace(text)
	if err := check(text); err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(text)
	var file *fs.PathError
	switch {
	case errors.As(err, &file):
		return nil, errors.New(
			"naming a file that can't be read: sslrootcert, sslcert, sslkey, passfile or servicefile")
	case err != nil:
		return nil, errors.New(faultOf(text))
	}
	if err := checkParsed(config, isURL(text)); err != nil {
		return nil, err
	}
	for _, list := range [][]setting{settings, more} {
		for _, s := range list {
			maps.DeleteFunc(config.RuntimeParams, func(name, _ string) bool { return strings.EqualFold(name, s.name) })
			config.RuntimeParams[s.name] = s.value
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	return config, nil
}

// urlExample ends an error message with an example.
const urlExample = "; it looks like postgres://user:password@host:5432/database"

// keyword matches the name of a parameter, in key=value text and in the query of a URL.
var keyword = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// check refuses text in which pgx would mistake a part of a malformed URL for the name of a
// parameter or for a part of the database's name: pgx sends both to the server, whose error
// messages repeat them.
func check(text string) error {
	authority, rest := splitAuthority(text)
	path, _, _ := strings.Cut(rest, "?")
	endsEarly := strings.Contains(path, "@") || strings.Contains(rest, "@") && !strings.Contains(authority, "@")
	switch first, _, _ := strings.Cut(text, "="); {
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("not a connection string: it holds a line break or another control character")
	case strings.ContainsAny(text[:min(1, len(text))], "\"'`"):
		return errors.New("in quotes: remove them" + urlExample)
	case isURL(text) && endsEarly:
		return errors.New(reservedFault)
	case isURL(text), keyword.MatchString(strings.TrimSpace(first)) && strings.Contains(text, "="):
		return nil
	}
	return errors.New("neither a URL nor key=value text" + urlExample)
}

// reservedFault is the error message for a URL whose user or password holds a reserved character.
const reservedFault = "not a URL: in a user or a password @ has to be written %40 and / has to be written %2F"

// splitAuthority returns a URL's user, password, host and port, and the rest of the URL. The
// authority ends at the first slash, as in Postgres's own parser.
func splitAuthority(text string) (authority, rest string) {
	_, text, _ = strings.Cut(text, "://")
	authority, rest, _ = strings.Cut(text, "/")
	return authority, rest
}

func isURL(text string) bool {
	return strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
}

// faultOf returns the error message for text that pgx refuses.
func faultOf(text string) string {
	authority, _ := splitAuthority(text)
	switch {
	case !isURL(text):
		return "not key=value text: a value is malformed, or holds a space and is not in single quotes, " +
			"or names a service that is unknown"
	case strings.ContainsAny(text, " \\"):
		return "not a URL: a space has to be written %20, a backslash %5C"
	case badEscape.MatchString(text):
		return "not a URL: % in a user, a password or a name has to be written %25"
	case strings.Count(authority, "@") != 1:
		return reservedFault
	}
	return "not a Postgres connection URL" + urlExample
}

var badEscape = regexp.MustCompile(`%($|.$|[^0-9A-Fa-f]|.[^0-9A-Fa-f])`)

// checkParsed refuses text that pgx accepts with another meaning: a host that begins with the rest
// of a password, and a parameter whose name is the rest of a URL.
func checkParsed(config *pgx.ConnConfig, fromURL bool) error {
	hosts := []string{config.Host}
	for _, fallback := range config.Fallbacks {
		hosts = append(hosts, fallback.Host)
	}
	for _, host := range hosts {
		if fromURL && strings.Contains(host, "@") {
			return errors.New(reservedFault)
		}
	}
	for name := range config.RuntimeParams {
		if !keyword.MatchString(name) {
			return errors.New("not a Postgres connection URL: the name of a parameter is malformed")
		}
	}
	return nil
}
