package model

import (
	"github.com/go-json-experiment/json/jsontext"

	"lumen/store"
)

// ChangeConnection is a page of changes.
type ChangeConnection struct {
	Edges    []*ChangeEdge
	Nodes    []*Change
	PageInfo *PageInfo
}

// ChangeEdge is a change of a page and its cursor.
type ChangeEdge struct {
	Cursor string
	Node   *Change
}

// Change is a change of one row.
type Change struct{ *store.Change }

// Customer returns the customer as it was after the change, or nil for a row of another noun.
func (c Change) Customer() (*store.Customer, error) { return store.RowOf[store.Customer](c.Change) }

// Fields returns what the change did to each field.
func (c Change) Fields() []*FieldChange {
	changes := c.Change.Fields()
	fields := make([]*FieldChange, len(changes))
	for i, f := range changes {
		fields[i] = &FieldChange{f.Name, textOf(f.From), textOf(f.To)}
	}
	return fields
}

// FieldChange is the change of one field. Nil stands for null.
type FieldChange struct {
	Field    string
	From, To *string
}

// textOf returns a JSON value as text: that of a string, and the JSON of other values.
func textOf(value jsontext.Value) *string {
	text := string(value)
	switch value.Kind() {
	case 'n':
		return nil
	case '"':
		unquoted, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			panic(err) // Postgres stores valid JSON
		}
		text = string(unquoted)
	}
	return &text
}
