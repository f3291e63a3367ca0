package storetest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"lumen/store/wall"
)

// NoDatabase is a driver.Connector, and its connection, without a server: every statement finds nothing and counts 0. It is
// for what is not about what is found.
type NoDatabase struct{}

// Nothing returns a pool of NoDatabase, as what stands behind the wall.
func Nothing(t testing.TB) *bun.DB {
	db := bun.NewDB(sql.OpenDB(NoDatabase{}), pgdialect.New())
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (NoDatabase) Connect(context.Context) (driver.Conn, error) { return NoDatabase{}, nil }
func (NoDatabase) Driver() driver.Driver                        { return nil }
func (NoDatabase) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrSkip }
func (NoDatabase) Close() error                                 { return nil }
func (NoDatabase) Begin() (driver.Tx, error)                    { return nil, driver.ErrSkip }
func (NoDatabase) Query(_ context.Context, query string, _ []any, each func(*wall.Row)) error {
	if strings.Contains(query, "count(*)") {
		each(wall.NewRow([]pgconn.FieldDescription{{DataTypeOID: pgtype.Int8OID}}, [][]byte{make([]byte, 8)}))
	}
	return nil
}
