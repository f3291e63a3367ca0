package program

import (
	"errors"

	"lumen/store"
)

// ownerFlags are on the commands that work as the owner of the tables.
type ownerFlags struct {
	DatabaseURL      string `name:"database-url" env:"LUMEN_DATABASE_URL" placeholder:"URL" help:"The service's database, used here when there is no owner's URL (${env})."`
	OwnerDatabaseURL string `name:"owner-database-url" env:"LUMEN_OWNER_DATABASE_URL" placeholder:"URL" help:"The database as the owner of its tables (${env}). Default: LUMEN_DATABASE_URL."`
}

// open connects as the owner.
func (f ownerFlags) open() (*store.Owner, error) {
	url, variable := f.OwnerDatabaseURL, "LUMEN_OWNER_DATABASE_URL"
	if url == "" {
		url, variable = f.DatabaseURL, "LUMEN_DATABASE_URL"
	}
	if url == "" {
		return nil, errors.New("LUMEN_OWNER_DATABASE_URL is not set; set it to a URL like postgres://owner:password@host:5432/lumen")
	}
	owner, err := store.OpenOwner(url)
	if err != nil {
		return nil, errors.New(variable + " is " + err.Error())
	}
	return owner, nil
}
