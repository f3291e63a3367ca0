package store

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"lumen/store/wall"
)

// ChangeType is the type of a change: a noun's name and what happened, such as "customer.created".
type ChangeType string

// Change is a change of one row, as the log of changes recorded it.
type Change struct {
	// Sequence numbers the merchant's changes: 1, 2, 3, without gaps, in the order of their commits.
	Sequence int64
	Type     ChangeType
	// At is when the row was changed, by the database's clock. It is not in the order of Sequence.
	At time.Time
	// Noun is the name of the row's noun, and ID the row's id. CustomerID is the customer that owns
	// the row, or nil if there is none.
	Noun, ID   string
	CustomerID *string
	// Version is the version of the row after the change.
	Version int64
	Actor   Actor
	// RequestID is the id of the request, and Reason what its caller stated. Nil means none.
	RequestID, Reason *string

	data, previous map[string]jsontext.Value // by documented names; previous is nil for a new row
}

// FieldChange is a change of one field. From and To are JSON.
type FieldChange struct {
	Field
	From, To jsontext.Value
}

// changeColumns are the columns of the log, in the order in which readChange reads them.
var changeColumns = []string{
	"sequence", "type", "at", "entity", "entity_id", "customer_id", "version", "actor_kind", "actor_id",
	"actor_name", "request_id", "reason", "data::text AS data", "previous::text AS previous",
}

// readChange reads the columns of a change.
func readChange(row *wall.Row) (Change, error) {
	c := Change{Sequence: row.Int(), Type: ChangeType(row.Text()), At: row.Time()}
	c.Noun, c.ID, c.CustomerID, c.Version = row.Text(), row.Text(), row.NullableText(), row.Int()
	c.Actor = Actor{ActorKind(row.Text()), row.NullableText(), row.NullableText()}
	c.RequestID, c.Reason = row.NullableText(), row.NullableText()
	data, previous := row.Text(), row.NullableText()
	if data == "" { // row has a fault, which its query reports
		return c, nil
	}
	err := json.Unmarshal([]byte(data), &c.data)
	if err == nil && previous != nil {
		err = json.Unmarshal([]byte(*previous), &c.previous)
	}
	return c, err
}

// IsCreation reports whether the change created the row.
func (c *Change) IsCreation() bool { return c.previous == nil }

// isDeletion reports whether the change deleted the row.
func (c *Change) isDeletion() bool { return strings.HasSuffix(string(c.Type), "."+string(deleted)) }

// RowOf returns the row as it was after the change, or nil for a row of another noun.
func RowOf[T any](c *Change) (*T, error) {
	n := declared[T]()
	if c.Noun != n.name {
		return nil, nil
	}
	return n.rowFrom(c.data, c.Version)
}

// rowFrom returns the row that JSON describes. Absent members are null.
func (n *noun[T]) rowFrom(data map[string]jsontext.Value, version int64) (*T, error) {
	row := new(T)
	for i := range n.columns {
		c := &n.columns[i]
		value, ok := data[c.Field]
		if c.name == versionColumn {
			value, ok = jsontext.Value(strconv.FormatInt(version, 10)), true
		}
		if !ok || c.Field == "" || value.Kind() == 'n' {
			continue
		}
		if err := c.parse(value, row); err != nil {
			return nil, fmt.Errorf("field %s of a change: %w", c.Field, err)
		}
	}
	return row, nil
}

// Fields returns what the change did to the fields of the row, in the documented order. A creation
// gives values to fields that were null. The time of the change is not among them.
func (c *Change) Fields() []FieldChange {
	var changes []FieldChange
	null := jsontext.Value("null")
	for _, field := range c.fields() {
		from, changed := c.previous[field.Name]
		to, ok := c.data[field.Name]
		if !ok {
			to = null
		}
		if c.IsCreation() && ok && field.Settable {
			from, changed = null, true
		}
		if changed {
			changes = append(changes, FieldChange{field, from, to})
		}
	}
	return changes
}

// AppendPrevious appends the values that the changed fields had, as a JSON object, or null for a
// creation.
func (c *Change) AppendPrevious(to []byte) []byte {
	if c.IsCreation() {
		return append(to, "null"...)
	}
	to = append(to, '{')
	for _, field := range c.fields() {
		value, changed := c.previous[field.Name]
		if !changed || field.GraphQLOnly {
			continue
		}
		if to[len(to)-1] != '{' {
			to = append(to, ',')
		}
		to = append(AppendText(to, field.Name), ':')
		to = append(to, value...)
	}
	return append(to, '}')
}

// fields returns the fields that the change may name: all but the time of the change.
func (c *Change) fields() []Field {
	i := slices.IndexFunc(nouns, func(n Noun) bool { return n.Name() == c.Noun })
	if i < 0 {
		return nil // a newer program's
	}
	return slices.DeleteFunc(nouns[i].Fields(), func(f Field) bool {
		return f.Name == "updatedAt" || f.Name == "deletedAt" && c.isDeletion()
	})
}

// ChangeTypes returns the types of the changes of all nouns.
func ChangeTypes() (all []ChangeType) {
	for _, n := range nouns {
		for _, e := range []event{created, updated, deleted} {
			all = append(all, ChangeType(n.Name()+"."+string(e)))
		}
	}
	return all
}
