package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"lumen/store/postgres"
)

// An error says what is wrong with a connection string and never repeats it.
func ExampleParseService() {
	_, err := postgres.ParseService("postgres://lumen:pass@word@db.example/lumen")
	fmt.Println("LUMEN_DATABASE_URL is", err)

	config, err := postgres.ParseService("postgres://lumen:pass%40word@db.example/lumen")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(config.Host, config.Port, config.Database, config.RuntimeParams["statement_timeout"])
	// Output:
	// LUMEN_DATABASE_URL is not a URL: in a user or a password @ has to be written %40 and / has to be written %2F
	// db.example 5432 lumen 5s
}

// A program that starts together with its database waits for it, and tells the operator once.
func ExampleAwait() {
	config, err := postgres.ParseService("postgres://lumen:secret@127.0.0.1:1/lumen?sslmode=disable")
	if err != nil {
		fmt.Println(err)
		return
	}
	err = postgres.Await(context.Background(), config, 300*time.Millisecond, func(reason error) {
		fmt.Println("waiting:", reason)
	})
	fmt.Println("gave up:", err)
	// Output:
	// waiting: can't reach the database "lumen" at 127.0.0.1:1: connection refused
	// gave up: can't reach the database "lumen" at 127.0.0.1:1: connection refused
}

func ExampleIsOutage() {
	shutdown := &pgconn.PgError{Code: "57P01", Message: "terminating connection due to administrator command"}
	duplicate := &pgconn.PgError{Code: "23505", ConstraintName: "customers_email_unique"}
	fmt.Println(postgres.IsOutage(fmt.Errorf("fetch customer: %w", shutdown)), postgres.IsOutage(duplicate))
	fmt.Println(postgres.Violates(duplicate, "customers_email_unique"), postgres.IsOutage(errors.New("a bug")))
	// Output:
	// true false
	// true false
}

// Behind PgBouncer in transaction mode, each transaction makes the settings that PgBouncer cannot
// keep for a connection.
func ExampleBehindPooler() {
	config, err := postgres.ParseService("postgres://lumen:secret@pgbouncer.example:6432/lumen")
	if err != nil {
		fmt.Println(err)
		return
	}
	pooled := postgres.BehindPooler(config)
	fmt.Println(pooled.Begin)
	fmt.Println(pooled.Local["statement_timeout"], pooled.Local["search_path"])
	fmt.Println(config.RuntimeParams["timezone"], config.RuntimeParams["statement_timeout"] == "")
	// Output:
	// BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE
	// 5s pg_catalog, pg_temp
	// UTC true
}
