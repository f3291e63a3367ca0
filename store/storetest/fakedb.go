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

// FakeDriver is a driver.Connector, and its connection, without a server: every statement finds no
// rows and counts 0. It is for tests that do not depend on rows.
type FakeDriver struct{}

// FakeDB returns a pool of FakeDriver, which takes the place of a pool of package wall.
func FakeDB(t testing.TB) *bun.DB {
	db := bun.NewDB(sql.OpenDB(FakeDriver{}), pgdialect.New())
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func (FakeDriver) Connect(context.Context) (driver.Conn, error) { return FakeDriver{}, nil }
func (FakeDriver) Driver() driver.Driver                        { return nil }
func (FakeDriver) Prepare(string) (driver.Stmt, error)          { return nil, driver.ErrSkip }
func (FakeDriver) Close() error                                 { return nil }
func (FakeDriver) Begin() (driver.Tx, error)                    { return nil, driver.ErrSkip }
func (FakeDriver) Query(_ context.Context, query string, _ []any, each func(*wall.Row)) error {
	if strings.Contains(query, "count(*)") {
		each(wall.NewRow([]pgconn.FieldDescription{{DataTypeOID: pgtype.Int8OID}}, [][]byte{make([]byte, 8)}))
	}
	return nil
}
