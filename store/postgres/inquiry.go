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
// are overdue. A statement may be slow, for example because it waits for a lock. But if the
// statement's backend is idle or gone, the network lost the statement or its answer.
type inquiry struct {
	config *pgx.ConnConfig
	dial   pgconn.DialFunc // config's original dialer, which makes no flow

	mu      sync.Mutex
	overdue []overdueAnswer
	running bool
}

// overdueAnswer is the missing answer to the write at asked.
type overdueAnswer struct {
	*flow
	asked int64
}

// add asks about one more answer. All overdue answers are asked about with one query.
func (i *inquiry) add(f *flow, asked int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.overdue = append(i.overdue, overdueAnswer{f, asked})
	if !i.running {
		i.running = true
		go i.run()
	}
}

// take returns the answers to ask about. If there are none, the inquiry ends.
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
			continue // a flow that still waits asks again
		}
		for _, answer := range answers {
			if !working[answer.pid.Load()] {
				answer.end(answer.asked)
			}
		}
	}
}

const (
	// inquiryTime bounds one inquiry.
	inquiryTime = 2 * time.Second
	// lookInterval is the pause between the two queries of an inquiry.
	lookInterval = 300 * time.Millisecond
)

// workingQuery returns those of the backends $1 that work. $2 are the ages of their connections in
// seconds: after a failover, a younger backend may have the same number. Clocks may be adjusted
// meanwhile, so the ages have some leeway. $3 is the backend number that the inquiring connection
// was told. A proxy may hide the real numbers; then all backends count as working. So does a
// backend that became idle less than 250 ms ago, because it may just have sent its answer.
const workingQuery = `
SELECT s.pid::text FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::float8[])) AS s (pid, age)
WHERE pg_catalog.pg_backend_pid() <> $3::bigint OR EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity AS a
    WHERE a.pid = s.pid AND a.usename = SESSION_USER
        AND a.backend_start <= pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => s.age * 0.9 - 1)
        AND (a.wait_event IS DISTINCT FROM 'ClientRead'
            OR COALESCE(a.state_change, 'infinity') > pg_catalog.clock_timestamp() - interval '250 ms'))`

// ask returns the numbers of the backends that work.
func (i *inquiry) ask(answers []overdueAnswer) (map[uint32]bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), inquiryTime)
	defer cancel()
	config := i.config.Copy()
	config.DialFunc, config.AfterConnect = i.dial, nil
	config.RuntimeParams = maps.Clone(config.RuntimeParams)
	config.RuntimeParams["application_name"] = "lumen_inquiry"
	config.ConnectTimeout = inquiryTime / time.Duration(1+len(config.Fallbacks)) // for each host
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
	for look := range 2 { // on a busy machine a backend may be slow to receive a statement
		time.Sleep(time.Duration(look) * lookInterval)
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
