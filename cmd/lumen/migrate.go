package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/term"

	"lumen/store"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Apply the pending migrations. Safe when many start it at once."`
	Down   migrateDown   `cmd:"" help:"Undo what the last 'up' applied, with all that its tables hold."`
	Status migrateStatus `cmd:"" help:"Show which migrations are applied."`
}

type migrateUp struct {
	ownerFlags
	jsonFlag
}

func (c migrateUp) Run(ctx context.Context, t terminal) error {
	owner, err := c.open()
	if err != nil {
		return err
	}
	defer func() { _ = owner.Close() }()
	applied, err := owner.MigrateUp(ctx)
	if err != nil {
		return err
	}
	return c.print(t, "Applied", applied)
}

type migrateDown struct {
	Yes bool `help:"Do not ask whether to."`
	ownerFlags
	jsonFlag
}

func (c migrateDown) Run(ctx context.Context, t terminal) error {
	// A script has thought of it; somebody at a terminal may have mistyped "status".
	if !c.Yes && term.IsTerminal(int(os.Stdin.Fd())) && !t.confirm(os.Stdin, "This deletes what the last 'up' added, with all customers, keys and merchants in it.") {
		return errors.New("nothing was undone")
	}
	owner, err := c.open()
	if err != nil {
		return err
	}
	defer func() { _ = owner.Close() }()
	undone, err := owner.MigrateDown(ctx)
	if err != nil {
		return err
	}
	return c.print(t, "Undone", undone)
}

func (f jsonFlag) print(t terminal, what string, steps []store.Migration) error {
	if f.JSON {
		return t.printJSON(map[string]any{"migrations": steps})
	}
	if len(steps) == 0 {
		_, err := fmt.Fprintln(t.out, "Nothing to do.")
		return err
	}
	for _, step := range steps {
		if _, err := fmt.Fprintf(t.out, "%s %s\n", what, step.Name); err != nil {
			return err
		}
	}
	return nil
}

type migrateStatus struct {
	ownerFlags
	jsonFlag
}

func (c migrateStatus) Run(ctx context.Context, t terminal) error {
	owner, err := c.open()
	if err != nil {
		return err
	}
	defer func() { _ = owner.Close() }()
	steps, err := owner.Migrations(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"migrations": steps})
	}
	rows := [][]string{{"MIGRATION", "APPLIED"}}
	for _, step := range steps {
		rows = append(rows, []string{step.Name, shortTime(step.AppliedAt)})
	}
	return t.table(rows)
}
