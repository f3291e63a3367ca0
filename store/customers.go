package store

import (
	"context"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"lumen/store/address"
	"lumen/store/postgres"
	"lumen/store/wall"
)

// Customer is a customer of one merchant. Times are UTC with millisecond precision.
type Customer struct {
	bun.BaseModel `bun:"table:public.customers,alias:c"`

	ID                  string     `bun:"id,pk"`
	Email               string     `bun:"email"`
	Name                *string    `bun:"name"`
	UserID              *string    `bun:"user_id"`
	BillingAddressLine1 *string    `bun:"billing_address_line1"`
	BillingAddressLine2 *string    `bun:"billing_address_line2"`
	BillingCity         *string    `bun:"billing_city"`
	BillingPostalCode   *string    `bun:"billing_postal_code"`
	BillingCountry      *string    `bun:"billing_country"`
	TaxID               *string    `bun:"tax_id"`
	MerchantID          string     `bun:"merchant_id,pk"`
	CreatedAt           time.Time  `bun:"created_at"`
	UpdatedAt           time.Time  `bun:"updated_at"`
	DeletedAt           *time.Time `bun:"deleted_at"`

	// EmailShared is true when the write that gave the customer its present address carried the dangerous flag.
	EmailShared bool `bun:"email_shared"`

	// EmailKey and NameKey are what lists sort by; see package address.
	EmailKey string  `bun:"email_key"`
	NameKey  *string `bun:"name_key"`
}

// Customers are the five operations of the API reference, and what lists need. Each works for the merchant whose
// credential the context carries (I1) and is Unauthenticated without one; a credential that is bound to one customer sees
// no other. Every error is an *Error.
type Customers struct {
	scope      scope
	statements statements
	updates    sync.Map // by the set of fields: update
}

// Admit returns Unavailable while so much waits for the database that whatever the merchant in ctx asked for would be refused
// at once. It spares the caller from reading a request first. That it returns nil promises nothing.
func (c *Customers) Admit(ctx context.Context) error {
	merchant, _ := scopeFrom(ctx)
	if err := c.scope.gate.Admit(merchant); err != nil {
		return Failed("", err)
	}
	return nil
}

// Get returns the live customer with this id that belongs to the merchant in ctx (I1). Anything else - absent, deleted,
// another merchant's - is NotFound, indistinguishably. A malformed id is InvalidID.
func (c *Customers) Get(ctx context.Context, id string) (*Customer, error) {
	if err := checkCustomerID(id); err != nil {
		return nil, err
	}
	customer, err := c.scope.one(ctx, c.statements.get, id)
	if err != nil {
		return nil, Failed("fetch customer", err)
	}
	if customer == nil {
		return nil, NewError(NotFound)
	}
	return customer, nil
}

// GetMany returns, by id, those of the customers that Get would return. It is one statement, however many ids; ids
// that are malformed find nothing.
func (c *Customers) GetMany(ctx context.Context, ids []string) (map[string]*Customer, error) {
	var customers []Customer
	var err error
	if len(ids) == 1 { // one of an array of one: Postgres would plan it anew each time
		customers, err = c.scope.run(ctx, c.statements.get, ids[0])
	} else {
		customers, err = c.scope.run(ctx, c.statements.getMany, ids)
	}
	switch {
	case err != nil && len(ids) == 1:
		return nil, Failed("fetch customer", err)
	case err != nil:
		return nil, Failed("fetch customers", err)
	}
	found := make(map[string]*Customer, len(customers))
	for i := range customers {
		found[customers[i].ID] = &customers[i]
	}
	return found, nil
}

// Create adds a customer. EmailRequired, InvalidInput and EmailTaken (I2) tell what is wrong with the input; Forbidden
// that the credential may not create. The reply comes after the commit (I4).
func (c *Customers) Create(ctx context.Context, in CustomerInput) (*Customer, error) {
	if err := Authorize(ctx, ToCreate); err != nil {
		return nil, err
	}
	in, err := in.normalize(true)
	if err != nil {
		return nil, err
	}
	id, err := NewID(customerPrefix)
	if err != nil {
		return nil, Failed("create customer", err)
	}
	created, err := c.scope.write(in.lockAddress(ctx), c.statements.create, append([]any{id}, everything.values(in)...)...)
	switch {
	case postgres.Violates(err, uniqueEmail), err == nil && created == nil:
		return nil, NewError(EmailTaken)
	case err != nil:
		return nil, Failed("create customer", err)
	}
	return created, nil
}

// Update changes what the input says and keeps the rest. UpdatedAt moves exactly when a stored value changes. It fails
// as Get does for the id, and as Create does for the input. Who is bound to the customer may not touch its email: an
// address that is refused would tell of other customers.
func (c *Customers) Update(ctx context.Context, id string, in CustomerInput) (*Customer, error) {
	if err := Authorize(ctx, ToUpdate); err != nil {
		return nil, err
	}
	if err := checkCustomerID(id); err != nil {
		return nil, err
	}
	if _, customer := scopeFrom(ctx); customer != "" && in.touchesEmail() {
		return nil, NewError(Forbidden)
	}
	in, err := in.normalize(false)
	if err != nil {
		return nil, err
	}
	update := c.updating(in)
	updated, err := c.scope.write(in.lockAddress(ctx), update.text, append([]any{id}, update.says.values(in)...)...)
	taken := postgres.Violates(err, uniqueEmail)
	if err != nil && !taken {
		return nil, Failed("update customer", err)
	}
	if updated == nil {
		// No row: the customer is not there, or its new address is taken. Existence is asked first.
		if _, err := c.Get(ctx, id); err != nil {
			return nil, err
		}
		return nil, &Error{Code: EmailTaken, Message: emailTakenOnUpdate}
	}
	return updated, nil
}

// Delete marks the customer as deleted, for good (I3), and returns it as it then is. It fails as Get does; deleting
// twice is NotFound.
func (c *Customers) Delete(ctx context.Context, id string) (*Customer, error) {
	if err := Authorize(ctx, ToDelete); err != nil {
		return nil, err
	}
	if err := checkCustomerID(id); err != nil {
		return nil, err
	}
	deleted, err := c.scope.write(ctx, c.statements.delete, id)
	if err != nil {
		return nil, Failed("delete customer", err)
	}
	if deleted == nil {
		return nil, NewError(NotFound)
	}
	return deleted, nil
}

// lockAddress makes the writers of one address of one merchant wait for each other, so that what each sees when it
// checks the live rows is what stands when it commits (I2). The unique index alone does not know of flagged rows.
func (in CustomerInput) lockAddress(ctx context.Context) context.Context {
	email := in.Email.Ptr()
	if email == nil {
		return ctx
	}
	merchant, _ := scopeFrom(ctx)
	return wall.WithLock(ctx, merchant+" "+address.MustKey(*email))
}
