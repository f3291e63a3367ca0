package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"lumen/store/address"
	"lumen/store/folding"
	"lumen/store/postgres"
	"lumen/store/wall"
)

// Customer is a customer of one merchant. Times are UTC with millisecond precision.
type Customer struct {
	bun.BaseModel `bun:"table:public.customers,alias:c"`

	ID, MerchantID                           string
	Email                                    string
	Name, UserID                             *string
	BillingAddressLine1, BillingAddressLine2 *string
	BillingCity, BillingPostalCode           *string
	BillingCountry, TaxID                    *string
	CreatedAt, UpdatedAt                     time.Time
	DeletedAt                                *time.Time
	// EmailShared is true when the write that gave the customer its present address carried the dangerous flag.
	EmailShared bool
	// EmailKey and NameSort are what lists are sorted by.
	EmailKey string
	NameSort *string // octets
}

// DangerousFlag admits an address that another live customer has.
const DangerousFlag = "dangerouslyAllowSameEmailForDifferentCustomers"

// The sort fields of customers besides those of every noun.
const (
	SortEmail SortField = "EMAIL" // by the email key
	SortName  SortField = "NAME"  // by the name's collation key; customers without one last in either direction
)

// customers declares the customer. Its fields are in the documented order.
var customers = declare(&noun[Customer]{
	name: "customer", plural: "customers", prefix: "cust", table: "customers", owner: "id",
	columns: []Column[Customer]{
		text("id", func(c *Customer) *string { return &c.ID }),
		text("email", func(c *Customer) *string { return &c.Email }).
			input(rule{required: true, forbids: address.HasInvisible, maxBytes: address.MaxOctets, normalize: checkEmail,
				form: "must be an email address"}),
		nullableText("name", func(c *Customer) **string { return &c.Name }).input(rule{max: 255}),
		nullableText("user_id", func(c *Customer) **string { return &c.UserID }).input(rule{max: 255, forbids: folding.HasInvisible}),
		nullableText("billing_address_line1", func(c *Customer) **string { return &c.BillingAddressLine1 }).input(rule{max: 255}),
		nullableText("billing_address_line2", func(c *Customer) **string { return &c.BillingAddressLine2 }).input(rule{max: 255}),
		nullableText("billing_city", func(c *Customer) **string { return &c.BillingCity }).input(rule{max: 255}),
		nullableText("billing_postal_code", func(c *Customer) **string { return &c.BillingPostalCode }).
			input(rule{max: 32, forbids: folding.HasInvisible}),
		nullableText("billing_country", func(c *Customer) **string { return &c.BillingCountry }).
			input(rule{normalize: checkCountry, form: countryForm, hint: countryHint}),
		nullableText("tax_id", func(c *Customer) **string { return &c.TaxID }).input(rule{max: 64, forbids: folding.HasInvisible}),
		text("merchant_id", func(c *Customer) *string { return &c.MerchantID }),
		instant("created_at", func(c *Customer) *time.Time { return &c.CreatedAt }),
		instant("updated_at", func(c *Customer) *time.Time { return &c.UpdatedAt }),
		nullableInstant("deleted_at", func(c *Customer) **time.Time { return &c.DeletedAt }),
		boolean("email_shared", func(c *Customer) *bool { return &c.EmailShared }).inGraphQLOnly(),
		text("email_key", func(c *Customer) *string { return &c.EmailKey }).hidden(),
		nullableBytes("name_sort", func(c *Customer) **string { return &c.NameSort }),
	},
	flags: []string{DangerousFlag},
	derived: []derived{
		{column: "email_key", from: "email", sqlType: "text", key: emailKey},
		{column: "name_sort", from: "name", sqlType: "bytea", key: func(name string) any { return folding.SortKey(name) }},
		// What servers of the release before sort names by.
		{column: "name_key", from: "name", sqlType: "text", key: func(name string) any { return folding.Case(name) }},
	},
	search: []string{"email", "name", "user_id"},
	sorts: []sorting{
		{field: SortCreatedAt, code: 'c', column: "created_at"},
		{field: SortUpdatedAt, code: 'u', column: "updated_at"},
		{field: SortEmail, code: 'e', column: "email_key"},
		{field: SortName, code: 'k', column: "name_sort", nullable: true, earlier: earlier{'n', fromNameKey}},
	},
	filters: []filter{
		{"email", "email_key", equal}, {"userId", "user_id", equal}, {"billingCountry", "billing_country", equal},
		{"search", searchKey, contains}, {"createdAt", "created_at", within}, {"updatedAt", "updated_at", within},
	},
	bound: []Operation{ToUpdate},
})

// IsCustomerID reports whether id has the form of a customer's id.
func IsCustomerID(id string) bool { return customers.IsID(id) }

// emailKey returns the key of an address, nil for one that was accepted once and is refused today.
func emailKey(email string) any {
	if key, ok := address.Key(email); ok {
		return key
	}
	return nil
}

// fromNameKey returns the sort key of a cursor that holds a folded name, or a stand-in for a missing one. How
// the name was written is not known: the key lies ahead of all that fold so, and some may come again.
func fromNameKey(key string, direction SortDirection) string {
	switch {
	case key == "":
		return ""
	case key == highest["text"].key:
		return highest["bytea"].key
	case direction == Ascending:
		return bytea(folding.PrimaryKey(key))
	}
	return bytea(append(folding.PrimaryKey(key), 0, 0xFF))
}

// checkEmail accepts an address, which is stored as it was sent.
func checkEmail(email string) (string, bool) { return email, address.IsValid(email) }

// Customers are Rows with the rules of the email address.
type Customers struct{ *Rows[Customer] }

// Create adds a customer. EmailRequired, InvalidInput and EmailTaken (I2) tell what is wrong with the
// input, Forbidden that the credential may not create. It returns after the commit (I4).
func (c *Customers) Create(ctx context.Context, in Input) (*Customer, error) {
	if err := c.Authorize(ctx, ToCreate); err != nil {
		return nil, err
	}
	v, err := normalizeCustomer(in, true)
	if err != nil {
		return nil, Failed("create customer", err)
	}
	created, err := c.insert(lockAddress(ctx, v), v, unlessTaken)
	switch {
	case postgres.Violates(err, uniqueEmail), err == nil && created == nil:
		return nil, emailTaken()
	case err != nil:
		return nil, Failed("create customer", err)
	}
	return created, nil
}

// Update changes the fields that the input holds and keeps the rest. UpdatedAt moves exactly when a
// stored value changes. It fails as Get does for the id, and as Create does for the input. A bound caller
// may not touch the email: an address that is refused would tell of other customers.
func (c *Customers) Update(ctx context.Context, id string, in Input) (*Customer, error) {
	if err := c.authorizeID(ctx, ToUpdate, id); err != nil {
		return nil, err
	}
	if err := authorizeEmail(ctx, in); err != nil {
		return nil, err
	}
	v, err := c.normalizeUpdate(ctx, id, in, normalizeCustomer)
	if err != nil {
		return nil, Failed("update customer", err)
	}
	updated, err := c.update(lockAddress(ctx, v), id, v, unlessTakenByAnother)
	taken := postgres.Violates(err, uniqueEmail)
	if err != nil && !taken {
		return nil, Failed("update customer", err)
	}
	if updated == nil {
		// No row: the customer is not there, or its new address is taken. Existence is asked first.
		if _, err := c.Get(ctx, id); err != nil {
			return nil, err
		}
		err := emailTaken()
		err.Message = emailTakenOnUpdate
		return nil, err
	}
	return updated, nil
}

// normalizeCustomer is normalize, but a missing address wins over every other fault.
func normalizeCustomer(in Input, creating bool) (values, error) {
	email, present := in["email"]
	text, isText := email.(string)
	if (present || creating) && (email == nil || isText && folding.IsBlank(text)) {
		err := customers.NewError(EmailRequired)
		err.Field = "email"
		return nil, err
	}
	return customers.normalize(in, creating)
}

// authorizeEmail returns Forbidden when the caller is bound to one customer and the input touches the email.
func authorizeEmail(ctx context.Context, in Input) error {
	if _, customer := scopeFrom(ctx); customer != "" && touchesEmail(in) {
		return NewError(Forbidden)
	}
	return nil
}

// touchesEmail reports whether the input says anything of the email, even what can't be read, or sets the
// flag.
func touchesEmail(in Input) bool {
	_, present := in["email"]
	flag := in[DangerousFlag]
	return present || flag != nil && flag != false
}

// uniqueEmail is the index that holds I2 when two writers meet.
const uniqueEmail = "customers_email_unique"

// emailTakenOnUpdate is the reference's longer text for the same code.
const emailTakenOnUpdate = "Another customer with this email already exists. Use " + DangerousFlag + " to allow."

func emailTaken() *Error {
	err := customers.NewError(EmailTaken)
	err.Field = "email"
	return err
}

// lockAddress makes the writers of one address of one merchant wait for each other, so that what each sees
// when it checks the live rows is what stands when it commits (I2). The unique index does not know of
// flagged rows.
func lockAddress(ctx context.Context, v values) context.Context {
	email := v.text("email")
	if email == nil {
		return ctx
	}
	merchant, _ := scopeFrom(ctx)
	return wall.WithLock(ctx, merchant+" "+address.MustKey(*email))
}

// unlessTaken refuses an insert when a live row holds the address and the flag is not set.
func unlessTaken(w *writer) {
	flag := w.flag(DangerousFlag)
	w.set("email_shared", flag)
	w.unless(flag, w.others("holder").Where("holder.email_key = "+w.ref("email_key")))
}

// unlessTakenByAnother refuses an update when the address changes to one that another live row holds and
// the flag is not set.
func unlessTakenByAnother(w *writer) {
	key, email := w.ref("email_key"), w.ref("email")
	if key == "" {
		return
	}
	// A key may be that of an earlier release. The address that goes with it is sent back without a conflict.
	w.set("email_key", "CASE WHEN c.email = "+email+" THEN c.email_key ELSE "+key+" END")
	flag, moves := w.flag(DangerousFlag), "(c.email_key <> "+key+" AND c.email <> "+email+")"
	w.set("email_shared", "CASE WHEN "+moves+" THEN "+flag+" ELSE c.email_shared END")
	// Not the row itself: when this waited for a writer that moved the row away, the check still sees the row as it was.
	w.unless("NOT ("+moves+") OR "+flag, w.others("holder").Where("holder.email_key = "+key).Where("holder.id <> c.id"))
}
