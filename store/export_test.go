package store

import (
	"time"

	"github.com/uptrace/bun"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"lumen/store/folding"
)

// CursorOf returns the cursor of a customer in the merchant's list in this order.
func CursorOf(merchant string, sort Sort, c *Customer) string {
	return cursorOf(customers, merchant, sort, c)
}

// CustomerFault returns a fault of a customer's field.
func CustomerFault(field string, reason Reason) Fault { return customers.fault(field, reason) }

// GadgetFault returns a fault of a gadget's field.
func GadgetFault(field string, reason Reason) Fault { return gadgets("").fault(field, reason) }

// OldNameCursor returns the cursor that an earlier release made for a row in a list sorted by name.
func OldNameCursor(merchant string, sort Sort, id string, name *string) string {
	key := map[SortDirection]string{Ascending: maxKey["text"].key}[sort.Direction]
	if name != nil {
		key = cases.Fold().String(norm.NFC.String(*name))
	}
	o, _ := customers.order(sort)
	o.code = o.legacy.code
	return encodeCursor(merchant, o, position{key: key, id: id})
}

// MerchantOf returns the merchant of the row that a change holds.
func MerchantOf(c *Change) string {
	merchant, _ := textOf(c.data["merchantId"])
	return merchant
}

// CursorAt returns the cursor of a row in the merchant's list of any noun, newest first.
func CursorAt(merchant, id string, created time.Time) string {
	o, _ := customers.order(Sort{})
	return encodeCursor(merchant, o, position{key: created.UTC().Format(cursorTime), id: id})
}

func cursorOf[T any](n *noun[T], merchant string, sort Sort, row *T) string {
	o, _ := n.order(sort)
	return encodeCursor(merchant, o, n.position(o, row))
}

// Gadget is a noun that exists only in tests, with an input of every kind. It shows that the core
// depends on nothing of customers. A column of its own holds the customer that it belongs to.
type Gadget struct {
	bun.BaseModel `bun:"table:public.gadgets,alias:c"`

	ID, MerchantID, CustomerID string
	Label, LabelKey            string
	Size                       int64
	State, ParentID            *string
	DueAt                      time.Time
	Active                     bool
	CreatedAt, UpdatedAt       time.Time
	DeletedAt                  *time.Time
	Version                    int64
}

// The sort fields of gadgets.
const (
	SortLabel SortField = "LABEL"
	SortState SortField = "STATE" // without a state last, in either direction
)

// GadgetStates are the valid states of a gadget.
var GadgetStates = []string{"new", "used", "worn"}

// gadgets returns the noun of gadgets with this owner column, or without one if owner is "".
func gadgets(owner string) *noun[Gadget] {
	return &noun[Gadget]{
		name: "gadget", plural: "gadgets", prefix: "gad", table: "gadgets", owner: owner,
		columns: []Column[Gadget]{
			text("id", func(g *Gadget) *string { return &g.ID }),
			text("customer_id", func(g *Gadget) *string { return &g.CustomerID }).
				input(rule{kind: ReferenceKind, required: true, immutable: true, reference: IsCustomerID}),
			text("label", func(g *Gadget) *string { return &g.Label }).input(rule{required: true, max: 20}),
			number("size", func(g *Gadget) *int64 { return &g.Size }).
				input(rule{kind: NumberKind, required: true, minValue: -5, maxValue: 1 << 40}),
			nullableText("state", func(g *Gadget) **string { return &g.State }).input(rule{kind: EnumKind, values: GadgetStates}),
			nullableText("parent_id", func(g *Gadget) **string { return &g.ParentID }).
				input(rule{kind: ReferenceKind, reference: func(id string) bool { return isID(id, "gad") }}),
			instant("due_at", func(g *Gadget) *time.Time { return &g.DueAt }).input(rule{kind: TimeKind, required: true}),
			boolean("active", func(g *Gadget) *bool { return &g.Active }).input(rule{kind: FlagKind, required: true}),
			text("merchant_id", func(g *Gadget) *string { return &g.MerchantID }),
			instant("created_at", func(g *Gadget) *time.Time { return &g.CreatedAt }),
			instant("updated_at", func(g *Gadget) *time.Time { return &g.UpdatedAt }),
			nullableInstant("deleted_at", func(g *Gadget) **time.Time { return &g.DeletedAt }),
			text("label_key", func(g *Gadget) *string { return &g.LabelKey }).hidden(),
			number("version", func(g *Gadget) *int64 { return &g.Version }).inGraphQLOnly(),
		},
		flags:   []string{"force"},
		derived: []derived{{"label_key", "label", "text", func(label string) any { return folding.Case(label) }}},
		search:  []string{"label", "state"},
		sorts: []sorting{
			{field: SortCreatedAt, code: 'c', column: "created_at"},
			{field: SortUpdatedAt, code: 'u', column: "updated_at"},
			{field: SortLabel, code: 'l', column: "label_key"},
			{field: SortState, code: 's', column: "state", nullable: true},
		},
		filters: []filter{
			{"customerId", "customer_id", equal}, {"label", "label_key", equal}, {"search", searchKey, contains},
			{"dueAt", "due_at", within},
		},
		boundOperations: []Operation{ToList, ToCreate, ToUpdate, ToDelete},
	}
}

// GadgetNoun returns the noun of gadgets with this owner column.
func GadgetNoun(owner string) Noun { return gadgets(owner) }

// GadgetsOf returns the gadgets of a store.
func GadgetsOf(s *Store, owner string) *Rows[Gadget] {
	return newRows(gadgets(owner), s)
}

// GadgetCursorOf is CursorOf for gadgets.
func GadgetCursorOf(merchant string, sort Sort, g *Gadget) string {
	return cursorOf(gadgets(""), merchant, sort, g)
}
