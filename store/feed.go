package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"lumen/store/gate"
	"lumen/store/wall"
)

// Changes reads the log of changes of the merchant in ctx (I1). It is Forbidden to a bound caller.
type Changes struct {
	scope    scope
	pageText string // $1 is the merchant, $2 the owner; see Changes.read
}

// FeedQuery asks for a page of the log, oldest first.
type FeedQuery struct {
	// After is the cursor that the last page returned, or Now. Nil reads from the beginning.
	After *string
	// First is the maximum number of changes. Nil means DefaultPageSize.
	First *int
	// Types are the types of the changes to return. Nil means all.
	Types []ChangeType
	// CustomerID selects the changes of one customer and of the rows that it owns. Nil means all.
	CustomerID *string
	// Wait is how long to wait for a change if there is none.
	Wait time.Duration
}

// Now is the FeedQuery.After that skips the changes which have happened.
const Now = "now"

// MaxWait is the maximum of FeedQuery.Wait.
const MaxWait = 25 * time.Second

// FeedPage is a page of the log.
type FeedPage struct {
	Changes []Change
	// Next is the cursor of the next page. There always is one.
	Next string
	// Waited is how long Page waited for a change.
	Waited time.Duration
	// HasMore reports whether the log has changes beyond the page now. If the query selects changes, a
	// page may be empty although the log has more. HasPrevious reports whether it has changes before.
	HasMore, HasPrevious bool

	merchant string
	end      feedPosition // the position of Next
}

// Cursor returns the cursor of change i.
func (p *FeedPage) Cursor(i int) string {
	return encodeFeedCursor(p.merchant, feedPosition{p.end.epoch, p.Changes[i].Sequence})
}

// scanLimit is the maximum number of changes that a page with a selection reads.
const scanLimit = 10_000

// onChanges is the span attribute of statements that read the log.
var onChanges attribute.KeyValue = semconv.DBCollectionName("changes")

func newChanges(s *Store) *Changes {
	c := &Changes{scope: scope{s.walled, s.gate, s.waker, onChanges}}
	db := s.walled
	changes := db.NewSelect().TableExpr(logTable + " AS x").ColumnExpr("x." + strings.Join(changeColumns, ", x.")).
		Where(logScoped("x")).
		Where("x.sequence > COALESCE($3::int8, h.floor)").
		Where("x.sequence <= COALESCE($3::int8, h.floor) + " + strconv.Itoa(scanLimit)).
		Where("$4::text[] IS NULL OR x.type = ANY($4)").Where("$5::text IS NULL OR x.customer_id = $5").
		OrderExpr("x.sequence")
	c.pageText = db.NewSelect().TableExpr(headTable + " AS h").
		Join("LEFT JOIN LATERAL (" + changes.String() + " LIMIT $6) AS x ON true").
		ColumnExpr("h.epoch, h.sequence AS last, h.floor, x.sequence IS NOT NULL AS found, x.*").
		Where(headScoped("h")).OrderExpr("x.sequence").String()
	return c
}

// Check returns the error, InvalidInput or Forbidden, with which Page would refuse the query, without
// asking the database.
func (c *Changes) Check(ctx context.Context, query FeedQuery) error {
	if err := authorizeFollow(ctx); err != nil {
		return err
	}
	_, err := resolveFeed(ctx, query)
	return err
}

// Page returns a page of the log. An invalid query is InvalidInput. A cursor is CursorExpired if
// changes after it were pruned, or if it does not belong to the log any longer. If too many callers
// of the merchant wait, Page is RateLimited.
func (c *Changes) Page(ctx context.Context, query FeedQuery) (*FeedPage, error) {
	if err := authorizeFollow(ctx); err != nil {
		return nil, err
	}
	q, err := resolveFeed(ctx, query)
	if err != nil {
		return nil, err
	}
	page, err := c.read(ctx, q)
	if err != nil || query.Wait <= 0 || len(page.Changes) > 0 || page.HasMore {
		return page, err
	}
	began := time.Now()
	page, err = c.wait(ctx, q, page, query.Wait)
	if err == nil {
		page.Waited = time.Since(began)
	}
	return page, err
}

// wait reads the page after an empty one again when there are changes, until one is selected or the
// time is over.
func (c *Changes) wait(ctx context.Context, q resolvedFeed, page *FeedPage, most time.Duration) (*FeedPage, error) {
	waiting, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for waiting.Err() == nil {
		q.after, q.isNow = &page.end, false
		read := time.Now()
		if err := c.scope.waker.wait(waiting, q.merchant, page.end.sequence); err != nil {
			return nil, err
		}
		if ctx.Err() != nil || c.scope.waker.isStopped() {
			break
		}
		if err := recheck(ctx); err != nil {
			return nil, Failed("fetch changes", err)
		}
		next, err := c.read(arrivedNow(ctx), q)
		if err != nil || len(next.Changes) > 0 || next.HasMore {
			return next, err
		}
		page = next
		// Changes that are not selected must not make the caller read all the time.
		sleep(waiting, time.Until(read.Add(pollInterval)))
	}
	return page, nil
}

// arrivedNow returns the context of a statement that has the time of a new request.
func arrivedNow(ctx context.Context) context.Context {
	ctx, _ = gate.WithArrival(ctx)
	return ctx
}

// sleep waits for the time, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// authorizeFollow returns Unauthenticated without a credential, and Forbidden to a bound caller:
// sequences and actors tell what happens to the merchant's other customers (I1).
func authorizeFollow(ctx context.Context) error {
	credential, ok := CredentialFrom(ctx)
	switch {
	case !ok:
		return NewError(Unauthenticated)
	case credential.isBound():
		return NewError(Forbidden)
	}
	return nil
}

// resolvedFeed is a valid FeedQuery.
type resolvedFeed struct {
	merchant string
	after    *feedPosition // nil for the beginning and for now
	isNow    bool
	limit    int
	types    []string
	customer *string
}

func resolveFeed(ctx context.Context, query FeedQuery) (resolvedFeed, error) {
	merchant, _ := scopeFrom(ctx)
	q := resolvedFeed{merchant: merchant, limit: DefaultPageSize, customer: query.CustomerID}
	var faults []Fault
	if query.After != nil {
		at, ok := decodeFeedCursor(merchant, *query.After)
		switch {
		case *query.After == Now:
			q.isNow = true
		case ok:
			q.after = &at
		default:
			faults = append(faults, NewFault("after", InvalidFormat, "must be a cursor that the log returned, or now"))
		}
	}
	if query.First != nil {
		if q.limit = *query.First; q.limit < 1 || q.limit > MaxPageSize {
			faults = append(faults, NewFault("first", InvalidFormat, PageSizeForm))
		}
	}
	for _, t := range query.Types {
		if !slices.Contains(ChangeTypes(), t) {
			faults = append(faults, NewFault("types", InvalidFormat, "must be documented types of changes, separated by commas"))
			break
		}
		q.types = append(q.types, string(t))
	}
	if query.CustomerID != nil && !IsCustomerID(*query.CustomerID) {
		faults = append(faults, NewFault("customerId", InvalidFormat, "must be a customer's id"))
	}
	if query.Wait < 0 || query.Wait > MaxWait {
		faults = append(faults, NewFault("wait", InvalidFormat, WaitForm))
	}
	return q, Invalid(faults...)
}

// WaitForm describes a valid time to wait, in messages.
const WaitForm = "must be 0 to 25"

// read reads a page.
func (c *Changes) read(ctx context.Context, q resolvedFeed) (*FeedPage, error) {
	var after any
	limit := q.limit
	switch {
	case q.isNow:
		limit = 0
	case q.after != nil:
		after = q.after.sequence
	}
	page := &FeedPage{merchant: q.merchant}
	var at feedPosition
	var last, floor int64
	var fault error
	args := []any{after, q.types, q.customer, int64(limit)}
	err := c.scope.run(ctx, reads, c.pageText, args, func(row *wall.Row) {
		at.epoch, last, floor = uint64(row.Int()), row.Int(), row.Int()
		if !row.Bool() {
			return
		}
		change, err := readChange(row)
		if err != nil {
			fault = err
		}
		page.Changes = append(page.Changes, change)
	})
	if err == nil {
		err = fault
	}
	if err != nil {
		return nil, Failed("fetch changes", err)
	}
	if q.after != nil && (q.after.epoch != at.epoch || q.after.sequence > last || q.after.sequence < floor) {
		return nil, NewError(CursorExpired)
	}
	switch n := len(page.Changes); {
	case q.isNow:
		at.sequence = last
	case n == q.limit:
		at.sequence = page.Changes[n-1].Sequence
	case q.after == nil:
		at.sequence = min(floor+scanLimit, last)
	default:
		at.sequence = min(q.after.sequence+scanLimit, last)
	}
	page.end, page.Next, page.HasMore = at, encodeFeedCursor(q.merchant, at), at.sequence < last
	page.HasPrevious = q.isNow && last > floor || q.after != nil && q.after.sequence > floor
	return page, nil
}

// feedPosition is a position in a merchant's log: the last change that was read, or 0 before the first.
type feedPosition struct {
	epoch    uint64
	sequence int64
}

// feedCursorVersion is the first octet of a cursor of the log:
//
//	base64url( version ‖ digest ‖ epoch ‖ sequence )
//
// The digest covers the merchant's id and the rest. See the cursors of lists.
const feedCursorVersion = 1

const feedCursorSize = 1 + digestSize + 8 + 8

// maxSequence is more than any sequence. A client can make up a cursor with a correct digest, and
// Postgres adds to its sequence.
const maxSequence = 1 << 62

func encodeFeedCursor(merchant string, at feedPosition) string {
	body := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, at.epoch), uint64(at.sequence))
	raw := append([]byte{feedCursorVersion}, feedDigest(merchant, body)...)
	return cursorEncoding.EncodeToString(append(raw, body...))
}

// decodeFeedCursor returns the position in a cursor of the merchant's log, or false for another text.
func decodeFeedCursor(merchant, cursor string) (feedPosition, bool) {
	raw, err := cursorEncoding.DecodeString(cursor)
	if err != nil || len(raw) != feedCursorSize || raw[0] != feedCursorVersion || strings.ContainsAny(cursor, "\r\n") {
		return feedPosition{}, false
	}
	digest, body := raw[1:1+digestSize], raw[1+digestSize:]
	at := feedPosition{binary.BigEndian.Uint64(body), int64(binary.BigEndian.Uint64(body[8:]))}
	isCursor := string(digest) == string(feedDigest(merchant, body)) && 0 <= at.sequence && at.sequence <= maxSequence
	return at, isCursor
}

func feedDigest(merchant string, body []byte) []byte {
	sum := sha256.New()
	sum.Write([]byte(merchant + "\x00changes\x00"))
	sum.Write(body)
	return sum.Sum(nil)[:digestSize]
}
