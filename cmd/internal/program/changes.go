package program

import (
	"context"
	"fmt"
	"time"
)

type changesCommand struct {
	Prune    changesPrune    `cmd:""`
	NewEpoch changesNewEpoch `cmd:""`
}

type changesPrune struct {
	Before moment `required:"" placeholder:"TIME"`
	ownerFlags
	jsonFlag
}

func (c changesPrune) Run(ctx context.Context, t terminal) error {
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	deleted, err := operator.Changes.Prune(ctx, time.Time(c.Before))
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"deleted": deleted})
	}
	_, err = fmt.Fprintf(t.out, "Deleted %d changes.\n", deleted)
	return err
}

type changesNewEpoch struct {
	ownerFlags
	jsonFlag
}

func (c changesNewEpoch) Run(ctx context.Context, t terminal) error {
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	merchants, err := operator.Changes.NewEpoch(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"merchants": merchants})
	}
	_, err = fmt.Fprintf(t.out, "The changes of %d merchants have a new epoch. Older cursors have expired.\n", merchants)
	return err
}

// moment is a time of the command line: RFC 3339, or a date, which means its beginning in UTC.
type moment time.Time

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, string(text)); err == nil {
			*m = moment(at)
			return nil
		}
	}
	return fmt.Errorf("must be a time such as 2026-01-31T00:00:00Z, or a date")
}
