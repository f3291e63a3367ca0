package program

import (
	"errors"
	"time"

	"lumen/store/owner"
	"lumen/store/schema"
)

// ownerFlags are on the commands that work as the owner of the tables.
type ownerFlags struct {
	DatabaseURL      string `env:"LUMEN_DATABASE_URL" placeholder:"URL"`
	OwnerDatabaseURL string `env:"LUMEN_OWNER_DATABASE_URL" placeholder:"URL"`
}

// startFlag is on the commands that may be started along with the database.
type startFlag struct {
	StartTimeout time.Duration `env:"LUMEN_START_TIMEOUT" default:"30s" placeholder:"DURATION"`
}

// faults returns what is wrong with the flag.
func (f startFlag) faults() []string {
	if f.StartTimeout < 0 {
		return []string{"LUMEN_START_TIMEOUT is less than nothing"}
	}
	return nil
}

// operator connects as the owner.
func (f ownerFlags) operator() (*owner.Owner, error) { return openAs(f, owner.Open) }

// migrator connects as the owner, to migrate.
func (f ownerFlags) migrator() (*schema.Migrator, error) { return openAs(f, schema.Open) }

// openAs opens the owner's connection string. An error names the variable that holds it.
func openAs[T any](f ownerFlags, open func(url string) (T, error)) (opened T, err error) {
	url, variable := f.OwnerDatabaseURL, "LUMEN_OWNER_DATABASE_URL"
	if url == "" {
		url, variable = f.DatabaseURL, "LUMEN_DATABASE_URL"
	}
	if url == "" {
		return opened, errors.New("LUMEN_OWNER_DATABASE_URL is not set; " +
			"set it to a URL like postgres://owner:password@host:5432/lumen")
	}
	if opened, err = open(url); err != nil {
		return opened, errors.New(variable + " is " + err.Error())
	}
	return opened, nil
}
