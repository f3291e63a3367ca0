package program

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/alecthomas/kong"
)

// settings tells how a command's flags were set, so that errors name what the user wrote.
type settings struct {
	// flags maps a variable to the flag that was given in its place.
	flags map[string]string
	// database is the flag or the variable that holds the connection string. It is "" for commands
	// without one.
	database string
}

func settingsOf(command *kong.Context) settings {
	s := settings{flags: make(map[string]string)}
	for _, path := range command.Path {
		if path.Flag != nil && len(path.Flag.Envs) > 0 {
			s.flags[path.Flag.Envs[0]] = "--" + path.Flag.Name
		}
	}
	owners := ""
	for _, flag := range command.Flags() {
		if url, _ := command.FlagValue(flag).(string); url == "" {
			continue
		}
		switch flag.Name {
		case "owner-database-url":
			owners = s.name(ownerDatabaseURL)
		case "database-url":
			s.database = s.name(databaseURL)
		}
	}
	s.database = cmp.Or(owners, s.database)
	return s
}

// The variables that hold connection strings.
const (
	databaseURL      = "LUMEN_DATABASE_URL"
	ownerDatabaseURL = "LUMEN_OWNER_DATABASE_URL"
)

// name returns the flag that was given in place of the variable, or else the variable.
func (s settings) name(variable string) string { return cmp.Or(s.flags[variable], variable) }

// listen takes the address for a server. Its error names the flag to choose another address with.
func listen(flag, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		reason := err.Error()
		var opErr *net.OpError
		if errors.As(err, &opErr) {
			reason = strings.TrimPrefix(opErr.Err.Error(), "bind: ")
		}
		return nil, fmt.Errorf("can't listen on %s: %s; choose another address with %s, such as %s 127.0.0.1:0, "+
			"where port 0 picks a free port", address, reason, flag, flag)
	}
	return listener, nil
}
