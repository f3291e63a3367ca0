package postgres

import (
	"context"
	"maps"
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
	overdue []overdueAnswer
	running bool
}

// overdueAnswer is that of a flow to what was asked then.
type overdueAnswer struct {
	*flow
	asked int64
}

// add asks about one more answer. All that are overdue are asked about together.
func (i *inquiry) add(f *flow, asked int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.overdue = append(i.overdue, overdueAnswer{f, asked})
	if !i.running {
		i.running = true
		go i.run()
	}
}

// take returns the answers to ask about, and none when the inquiry is over.
func (i *inquiry) take() []overdueAnswer {
	i.mu.Lock()
	defer i.mu.Unlock()
	answers := i.overdue
	i.overdue, i.running = nil, len(answers) > 0
	return answers
}

func (i *inquiry) run() {
	for answers := i.take(); len(answers) > 0; answers = i.take() {
		working, err := i.ask(answers)
		if err != nil {
			continue // each is asked about again while it waits
		}
		for _, answer := range answers {
			if !working[answer.pid.Load()] {
				answer.end(answer.asked)
			}
		}
	}
}

const (
	// inquiryTime bounds an inquiry.
	inquiryTime = 2 * time.Second
	// secondLook is how long after the first look at the backends the second one is.
	secondLook = 300 * time.Millisecond
)

// workingQuery yields those of the backends $1 that work. $2 is how long ago in seconds their
// connections were opened: after a failover a younger backend may have the number of one before. $3
// is the backend that the asking connection believes to have: a proxy may hide the numbers, and
// then nothing is known. Clocks may be set meanwhile, hence the leeway. A backend that has just
// begun to wait may have sent its answer.
const workingQuery = `
SELECT s.pid::text FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::float8[])) AS s (pid, age)
WHERE pg_catalog.pg_backend_pid() <> $3::bigint OR EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity AS a
    WHERE a.pid = s.pid AND a.usename = SESSION_USER
        AND a.backend_start <= pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => s.age * 0.9 - 1)
        AND (a.wait_event IS DISTINCT FROM 'ClientRead'
            OR COALESCE(a.state_change, 'infinity') > pg_catalog.clock_timestamp() - interval '250 ms'))`

// ask returns the backends that work, by number.
func (i *inquiry) ask(answers []overdueAnswer) (map[uint32]bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), inquiryTime)
	defer cancel()
	config := i.config.Copy()
	config.DialFunc, config.AfterConnect = i.dial, nil
	config.RuntimeParams = maps.Clone(config.RuntimeParams)
	config.RuntimeParams["application_name"] = "lumen_inquiry"
	config.ConnectTimeout = inquiryTime / time.Duration(1+len(config.Fallbacks)) // of each host
	pg, err := pgconn.ConnectConfig(ctx, &config.Config)
	if err != nil {
		return nil, err
	}
	defer func() { _ = pg.Close(ctx) }()
	pids, ages := make([]string, len(answers)), make([]string, len(answers))
	for n, answer := range answers {
		pids[n] = strconv.FormatUint(uint64(answer.pid.Load()), 10)
		ages[n] = strconv.FormatFloat(time.Since(answer.opened).Seconds(), 'f', 3, 64)
	}
	array := func(items []string) []byte { return []byte("{" + strings.Join(items, ",") + "}") }
	args := [][]byte{array(pids), array(ages), []byte(strconv.FormatUint(uint64(pg.PID()), 10))}
	working := make(map[uint32]bool)
	for look := range 2 { // on a busy machine a backend may be late to take what was sent
		time.Sleep(time.Duration(look) * secondLook)
		result := pg.ExecParams(ctx, workingQuery, args, nil, nil, nil).Read()
		if result.Err != nil {
			return nil, result.Err
		}
		for _, row := range result.Rows {
			pid, err := strconv.ParseUint(string(row[0]), 10, 32)
			if err != nil {
				return nil, err
			}
			working[uint32(pid)] = true
		}
	}
	return working, nil
}
