package program

import (
	"cmp"
	"errors"
	"time"

	"lumen/store/owner"
	"lumen/store/schema"
)

// ownerFlags are on the commands that log in as the owner of the tables.
type ownerFlags struct {
	DatabaseURL      string `env:"LUMEN_DATABASE_URL" placeholder:"URL"`
	OwnerDatabaseURL string `env:"LUMEN_OWNER_DATABASE_URL" placeholder:"URL"`
}

// startFlag is on the commands that may start at the same time as the database.
type startFlag struct {
	StartTimeout time.Duration `env:"LUMEN_START_TIMEOUT" default:"30s" placeholder:"DURATION"`
}

// check returns the faults of the flag.
func (f startFlag) check(s settings) (wrong faults) {
	if f.StartTimeout < 0 {
		wrong.add("%s must not be negative", s.name("LUMEN_START_TIMEOUT"))
	}
	return wrong
}

// operator returns an Owner on the owner's connection string.
func (f ownerFlags) operator(t terminal) (*owner.Owner, error) { return openAs(f, t, owner.Open) }

// migrator returns a Migrator on the owner's connection string.
func (f ownerFlags) migrator(t terminal) (*schema.Migrator, error) { return openAs(f, t, schema.Open) }

// openAs opens the owner's connection string. An error names the flag or the variable that holds
// it.
func openAs[T any](f ownerFlags, t terminal, open func(url string) (T, error)) (opened T, err error) {
	url := cmp.Or(f.OwnerDatabaseURL, f.DatabaseURL)
	if url == "" {
		return opened, errors.New(ownerDatabaseURL + " is not set; " +
			"set it to a URL like postgres://owner:password@host:5432/lumen")
	}
	if opened, err = open(url); err != nil {
		return opened, errors.New(t.settings.database + " is " + err.Error())
	}
	return opened, nil
}
