package postgres

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// inquiry asks the server, on a connection of its own, whether it works on statements whose answers
// are overdue. A statement may be slow, for example because it waits for a lock. But when its
// backend waits for a statement, or is gone, then what was sent or the answer was swallowed on the
// way.
type inquiry struct {
	config *pgx.ConnConfig
	dial   pgconn.DialFunc // config's own, which makes no flow

	mu      sync.Mutex
	overdue []overdueRead
	running bool
}

// overdueRead is a read of a flow that has waited since then.
type overdueRead struct {
	*flow
	began int64
}

// add asks about one more read. All that are overdue are asked about together.
func (i *inquiry) add(f *flow, began int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.overdue = append(i.overdue, overdueRead{f, began})
	if !i.running {
		i.running = true
		go i.run()
	}
}

// take returns the reads to ask about, and none when the inquiry is over.
func (i *inquiry) take() []overdueRead {
	i.mu.Lock()
	defer i.mu.Unlock()
	reads := i.overdue
	i.overdue, i.running = nil, len(reads) > 0
	return reads
}

func (i *inquiry) run() {
	for reads := i.take(); len(reads) > 0; reads = i.take() {
		working, err := i.ask(reads)
		if err != nil {
			continue // each is asked about again while it waits
		}
		for _, read := range reads {
			if !working[read.pid.Load()] {
				read.end(read.began)
			}
		}
	}
}

// inquiryTime bounds an inquiry.
const inquiryTime = 2 * time.Second

// workingQuery yields those of the backends $1 that work. $2 is how long ago in seconds their
// connections were opened: after a failover a younger backend may have the number of one before. $3
// is the backend that the asking connection believes to have: a proxy may hide the numbers, and
// then nothing is known. A backend that has just begun to wait may have sent its answer.
const workingQuery = `
SELECT s.pid::text FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::float8[])) AS s (pid, age)
WHERE pg_catalog.pg_backend_pid() <> $3::bigint OR EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity AS a
    WHERE a.pid = s.pid AND a.usename = SESSION_USER
        AND a.backend_start <= pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => s.age)
        AND (a.wait_event IS DISTINCT FROM 'ClientRead'
            OR COALESCE(a.state_change, 'infinity') > pg_catalog.clock_timestamp() - interval '250 ms'))`

// ask returns the backends that work, by number.
func (i *inquiry) ask(reads []overdueRead) (map[uint32]bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), inquiryTime)
	defer cancel()
	config := i.config.Copy()
	config.DialFunc, config.AfterConnect = i.dial, nil
	pg, err := pgconn.ConnectConfig(ctx, &config.Config)
	if err != nil {
		return nil, err
	}
	defer func() { _ = pg.Close(ctx) }()
	pids, ages := make([]string, len(reads)), make([]string, len(reads))
	for n, read := range reads {
		pids[n] = strconv.FormatUint(uint64(read.pid.Load()), 10)
		ages[n] = strconv.FormatFloat(time.Since(read.opened).Seconds(), 'f', 3, 64)
	}
	array := func(items []string) []byte { return []byte("{" + strings.Join(items, ",") + "}") }
	result := pg.ExecParams(ctx, workingQuery, [][]byte{
		array(pids), array(ages), []byte(strconv.FormatUint(uint64(pg.PID()), 10)),
	}, nil, nil, nil).Read()
	working := make(map[uint32]bool)
	for _, row := range result.Rows {
		pid, err := strconv.ParseUint(string(row[0]), 10, 32)
		if err != nil {
			return nil, err
		}
		working[uint32(pid)] = true
	}
	return working, result.Err
}
