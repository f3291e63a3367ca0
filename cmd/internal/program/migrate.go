package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"lumen/store/schema"
)

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Apply the pending migrations. It is safe to run several at once."`
	Down   migrateDown   `cmd:"" help:"Undo the migrations of the last 'up', and delete the data in their tables."`
	Status migrateStatus `cmd:"" help:"Show which migrations are applied."`
	Rekey  migrateRekey  `cmd:"" help:"Compute the stored keys of customers again, after the last server of an earlier release has stopped."`
}

type migrateUp struct {
	ownerFlags
	startFlag
	jsonFlag
}

func (c migrateUp) Run(ctx context.Context, t terminal) error {
	if err := c.startFlag.check(t.settings).err(); err != nil {
		return err
	}
	migrator, err := c.migrator(t)
	if err != nil {
		return err
	}
	defer func() { _ = migrator.Close() }()
	err = migrator.Await(ctx, c.StartTimeout, func(reason error) {
		_, _ = fmt.Fprintf(t.err, "lumen: %v; waiting for it for up to %v\n", reason, c.StartTimeout)
	})
	if err != nil {
		return err
	}
	migrator.Progress = t.progress()
	applied, err := migrator.Up(ctx)
	if err != nil && len(applied) == 0 {
		return err
	}
	if c.JSON && migrator.Rekeyed.Rows > 0 {
		return errors.Join(t.printJSON(map[string]any{"migrations": applied, "rekeyed": migrator.Rekeyed}), err)
	}
	err = errors.Join(c.print(t, "Applied", applied), err)
	if migrator.Rekeyed.Rows > 0 {
		err = errors.Join(err, t.printRekeyed(migrator.Rekeyed))
	}
	return err
}

type migrateRekey struct {
	ownerFlags
	jsonFlag
}

func (c migrateRekey) Run(ctx context.Context, t terminal) error {
	migrator, err := c.migrator(t)
	if err != nil {
		return err
	}
	defer func() { _ = migrator.Close() }()
	migrator.Progress = t.progress()
	if err := migrator.Rekey(ctx); err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(migrator.Rekeyed)
	}
	return t.printRekeyed(migrator.Rekeyed)
}

// progress returns a function that prints the number of rows read to standard error, at most every
// 5 s.
func (t terminal) progress() func(int) {
	told := time.Now()
	return func(rows int) {
		if time.Since(told) >= 5*time.Second {
			told = time.Now()
			_, _ = fmt.Fprintf(t.err, "computing keys: %d rows read\n", rows)
		}
	}
}

// printRekeyed prints how many keys changed, and which rows an operator must resolve.
func (t terminal) printRekeyed(r schema.Rekeyed) error {
	lines := []string{
		fmt.Sprintf("Rows read: %d", r.Rows),
		fmt.Sprintf("Rows with new keys: %d", r.Changed),
		fmt.Sprintf("Rows that keep an email address that is refused today: %d", r.Refused),
	}
	for _, taken := range r.Taken {
		lines = append(lines, fmt.Sprintf("%s of %s keeps its old key: another live row has the same email address. "+
			"Change or delete one of them, then run 'lumen migrate rekey'.", taken.ID, taken.MerchantID))
	}
	_, err := fmt.Fprintln(t.out, t.asInvoked(strings.Join(lines, "\n")))
	return err
}

type migrateDown struct {
	Yes bool `help:"Do not ask for confirmation. Required when standard input is not a terminal."`
	ownerFlags
	jsonFlag
}

func (c migrateDown) Run(ctx context.Context, t terminal) error {
	migrator, err := c.migrator(t)
	if err != nil {
		return err
	}
	defer func() { _ = migrator.Close() }()
	if !c.Yes {
		loss, err := migrator.CountLoss(ctx)
		if err == nil && len(loss.Steps) > 0 {
			err = t.confirmLoss(loss, t.in, isTerminal(t.in))
		}
		if err != nil {
			return err
		}
	}
	undone, err := migrator.Down(ctx)
	if err != nil {
		return err
	}
	return c.print(t, "Undone", undone)
}

// confirmLoss asks a person at a terminal to confirm the loss of data. It returns an error without
// their consent. The standard input of a script cannot confirm.
func (t terminal) confirmLoss(loss schema.Loss, in io.Reader, isTerminal bool) error {
	what := "this undoes " + strings.Join(loss.Steps, ", ")
	if lost := loss.Tables(); len(lost) > 0 {
		what += " and deletes " + strings.Join(lost, ", ")
	}
	if !isTerminal {
		return errors.New("nothing was undone: " + what + "; confirm with --yes, or at a terminal")
	}
	if !t.confirm(in, "Careful: "+what+".") {
		return errors.New("nothing was undone")
	}
	return nil
}

func (f jsonFlag) print(t terminal, what string, steps []schema.Migration) error {
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
	migrator, err := c.migrator(t)
	if err != nil {
		return err
	}
	defer func() { _ = migrator.Close() }()
	steps, err := migrator.Status(ctx)
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
