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

// Customer is a customer of one merchant. Times are in UTC, to the millisecond.
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
	// EmailShared reports whether the write that set the current email carried the DangerousFlag.
	EmailShared bool
	// EmailKey and NameSort are the stored keys that lists are sorted by.
	EmailKey string
	NameSort *string // octets
	// Version counts the changes of the customer, from 1.
	Version int64
}

// DangerousFlag is the input that allows an email which another live customer of the merchant has.
const DangerousFlag = "dangerouslyAllowSameEmailForDifferentCustomers"

// The sort fields that customers have in addition to those of every noun.
const (
	SortEmail SortField = "EMAIL" // by the email key
	SortName  SortField = "NAME"  // by the name's collation key; without a name last, in either direction
)

// customers declares the customer. Its fields are in the documented order.
var customers = declare(&noun[Customer]{
	name: "customer", plural: "customers", prefix: "cust", table: "customers", owner: "id",
	columns: []Column[Customer]{
		text("id", func(c *Customer) *string { return &c.ID }),
		text("email", func(c *Customer) *string { return &c.Email }).
			input(rule{required: true, forbids: address.HasInvisible, maxBytes: address.MaxOctets,
				normalize: checkEmail, form: "must be an email address"}),
		nullableText("name", func(c *Customer) **string { return &c.Name }).input(rule{max: 255}),
		nullableText("user_id", func(c *Customer) **string { return &c.UserID }).
			input(rule{max: 255, forbids: folding.HasInvisible}),
		nullableText("billing_address_line1", func(c *Customer) **string { return &c.BillingAddressLine1 }).
			input(rule{max: 255}),
		nullableText("billing_address_line2", func(c *Customer) **string { return &c.BillingAddressLine2 }).
			input(rule{max: 255}),
		nullableText("billing_city", func(c *Customer) **string { return &c.BillingCity }).input(rule{max: 255}),
		nullableText("billing_postal_code", func(c *Customer) **string { return &c.BillingPostalCode }).
			input(rule{max: 32, forbids: folding.HasInvisible}),
		nullableText("billing_country", func(c *Customer) **string { return &c.BillingCountry }).
			input(rule{normalize: checkCountry, form: countryForm, hint: countryHint}),
		nullableText("tax_id", func(c *Customer) **string { return &c.TaxID }).
			input(rule{max: 64, forbids: folding.HasInvisible}),
		text("merchant_id", func(c *Customer) *string { return &c.MerchantID }),
		instant("created_at", func(c *Customer) *time.Time { return &c.CreatedAt }),
		instant("updated_at", func(c *Customer) *time.Time { return &c.UpdatedAt }),
		nullableInstant("deleted_at", func(c *Customer) **time.Time { return &c.DeletedAt }),
		boolean("email_shared", func(c *Customer) *bool { return &c.EmailShared }).inGraphQLOnly(),
		text("email_key", func(c *Customer) *string { return &c.EmailKey }).hidden(),
		nullableBytes("name_sort", func(c *Customer) **string { return &c.NameSort }),
		number("version", func(c *Customer) *int64 { return &c.Version }).inGraphQLOnly(),
	},
	flags: []string{DangerousFlag},
	derived: []derived{
		{column: "email_key", from: "email", sqlType: "text", key: emailKey},
		{column: "name_sort", from: "name", sqlType: "bytea",
			key: func(name string) any { return folding.SortKey(name) }},
		// The servers of the last release sort by this column.
		{column: "name_key", from: "name", sqlType: "text", key: func(name string) any { return folding.Case(name) }},
	},
	search: []string{"email", "name", "user_id"},
	sorts: []sorting{
		{field: SortCreatedAt, code: 'c', column: "created_at"},
		{field: SortUpdatedAt, code: 'u', column: "updated_at"},
		{field: SortEmail, code: 'e', column: "email_key"},
		{field: SortName, code: 'k', column: "name_sort", nullable: true, legacy: legacyOrder{'n', fromNameKey}},
	},
	filters: []filter{
		{"email", "email_key", equal}, {"userId", "user_id", equal}, {"billingCountry", "billing_country", equal},
		{"search", searchKey, contains}, {"createdAt", "created_at", within}, {"updatedAt", "updated_at", within},
	},
	boundOperations: []Operation{ToUpdate},
})

// IsCustomerID reports whether id has the form of a customer's id.
func IsCustomerID(id string) bool { return customers.IsID(id) }

// emailKey returns the email's comparison key, or nil for a stored email that is no longer valid.
func emailKey(email string) any {
	if key, ok := address.Key(email); ok {
		return key
	}
	return nil
}

// fromNameKey returns the sort key for a legacy cursor, which holds a folded name or the key of a
// row without a name. The cursor does not tell how the name was spelled, so the key lies before
// every name that folds to it, and the next page may repeat some rows.
func fromNameKey(key string, direction SortDirection) string {
	switch {
	case key == "":
		return ""
	case key == maxKey["text"].key:
		return maxKey["bytea"].key
	case direction == Ascending:
		return bytea(folding.PrimaryKey(key))
	}
	return bytea(append(folding.PrimaryKey(key), 0, 0xFF))
}

// checkEmail validates an email and returns it unchanged, as it is stored.
func checkEmail(email string) (string, bool) { return email, address.IsValid(email) }

// Customers are the Rows of customers, with the rules of the email.
type Customers struct{ *Rows[Customer] }

// Create adds a customer and returns it after the commit (I4). It returns EmailRequired,
// InvalidInput or EmailTaken (I2) if the input is invalid, and Forbidden if the credential may not
// create.
func (c *Customers) Create(ctx context.Context, in Input, options WriteOptions) (*Customer, error) {
	if err := c.Authorize(ctx, ToCreate); err != nil {
		return nil, err
	}
	v, err := normalizeCustomer(in, true)
	if err := options.judge(ctx, err); err != nil {
		return nil, Failed("create customer", err)
	}
	created, err := c.insert(lockAddress(ctx, v), v, options, refuseTaken)
	switch {
	case postgres.Violates(err, uniqueEmail), err == nil && created == nil:
		return nil, emailTaken()
	case err != nil:
		return nil, Failed("create customer", err)
	}
	return created, nil
}

// Update changes the fields that are in the input and keeps the rest. UpdatedAt and the version change
// only if a stored value changes. Update returns the errors of Get for the id, those of Create for the
// input, and VersionConflict if the customer has none of the expected versions. It returns Forbidden if
// a bound caller sets the email, because a refused email would tell the caller about other customers.
func (c *Customers) Update(ctx context.Context, id string, in Input, options WriteOptions) (*Customer, error) {
	if err := c.authorizeID(ctx, ToUpdate, id); err != nil {
		return nil, err
	}
	if err := authorizeEmail(ctx, in); err != nil {
		return nil, err
	}
	v, err := c.normalizeUpdate(ctx, id, in, normalizeCustomer)
	if err := options.judge(ctx, err); err != nil {
		return nil, Failed("update customer", err)
	}
	updated, err := c.update(lockAddress(ctx, v), id, v, options, refuseTakenByAnother)
	switch {
	case postgres.Violates(err, uniqueEmail), err == nil && updated == nil:
		err := emailTaken()
		err.Message = emailTakenOnUpdate
		return nil, err
	case err != nil:
		return nil, Failed("update customer", err)
	}
	return updated, nil
}

// normalizeCustomer is normalize, except that a missing email hides all other faults.
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

// authorizeEmail returns Forbidden if a bound caller's input sets the email.
func authorizeEmail(ctx context.Context, in Input) error {
	if _, customer := scopeFrom(ctx); customer != "" && touchesEmail(in) {
		return NewError(Forbidden)
	}
	return nil
}

// touchesEmail reports whether the input sets the email, even to an invalid value, or the flag.
func touchesEmail(in Input) bool {
	_, present := in["email"]
	flag := in[DangerousFlag]
	return present || flag != nil && flag != false
}

// uniqueEmail is the unique index that holds I2 when two writers race.
const uniqueEmail = "customers_email_unique"

// emailTakenOnUpdate is the reference's message for EmailTaken on update.
const emailTakenOnUpdate = "Another customer with this email already exists. Use " + DangerousFlag + " to allow."

func emailTaken() *Error {
	err := customers.NewError(EmailTaken)
	err.Field = "email"
	return err
}

// lockAddress returns a context in which the write first takes the advisory lock of its email, so
// that writers of the same email of the same merchant run one after the other. Each then checks the
// rows that the one before it committed (I2). The unique index alone is not enough, because rows
// that were written with the flag are not in it.
func lockAddress(ctx context.Context, v values) context.Context {
	email := v.text("email")
	if email == nil {
		return ctx
	}
	merchant, _ := scopeFrom(ctx)
	return wall.WithLock(ctx, merchant+" "+address.MustKey(*email))
}

// refuseTaken makes an insert conditional: no live row has the email, or the flag is set.
func refuseTaken(w *writer) {
	flag := w.flag(DangerousFlag)
	w.set("email_shared", flag)
	w.refuseIfFound(flag, w.others("holder").Where("holder.email_key = "+w.ref("email_key")))
}

// refuseTakenByAnother makes an update conditional: the email does not change, no other live row
// has it, or the flag is set.
func refuseTakenByAnother(w *writer) {
	key, email := w.ref("email_key"), w.ref("email")
	if key == "" {
		return
	}
	// The stored key may be that of an earlier release. An unchanged email is never a conflict.
	w.set("email_key", "CASE WHEN c.email = "+email+" THEN c.email_key ELSE "+key+" END")
	flag, moves := w.flag(DangerousFlag), "(c.email_key <> "+key+" AND c.email <> "+email+")"
	w.set("email_shared", "CASE WHEN "+moves+" THEN "+flag+" ELSE c.email_shared END")
	// The row itself does not count. If this statement waited for a writer that changed the row's
	// email, the check still sees the row's earlier version.
	w.refuseIfFound("NOT ("+moves+") OR "+flag, w.others("holder").Where("holder.email_key = "+key).Where("holder.id <> c.id"))
}
