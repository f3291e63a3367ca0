package main

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// bareCustomer is the struct that the bare handler scans and encodes, with the fields of REST in
// their order.
type bareCustomer struct {
	ID                  string     `json:"id"`
	Email               string     `json:"email"`
	Name                *string    `json:"name"`
	UserID              *string    `json:"userId"`
	BillingAddressLine1 *string    `json:"billingAddressLine1"`
	BillingAddressLine2 *string    `json:"billingAddressLine2"`
	BillingCity         *string    `json:"billingCity"`
	BillingPostalCode   *string    `json:"billingPostalCode"`
	BillingCountry      *string    `json:"billingCountry"`
	TaxID               *string    `json:"taxId"`
	MerchantID          string     `json:"merchantId"`
	CreatedAt           time.Time  `json:"createdAt"`
	UpdatedAt           time.Time  `json:"updatedAt"`
	DeletedAt           *time.Time `json:"deletedAt"`
	EmailShared         *bool      `json:"emailShared,omitempty"`
}

type bareEdge struct {
	Cursor string        `json:"cursor"`
	Node   *bareCustomer `json:"node"`
}

const (
	bareColumns = `id, email, name, user_id, billing_address_line1, billing_address_line2, billing_city, billing_postal_code,
		billing_country, tax_id, merchant_id, created_at, updated_at, deleted_at`
	bareGet  = `SELECT ` + bareColumns + ` FROM customers WHERE merchant_id = $1 AND id = $2 AND deleted_at IS NULL`
	bareList = `SELECT ` + bareColumns + ` FROM customers WHERE merchant_id = $1 AND deleted_at IS NULL ORDER BY created_at DESC, id DESC`
	barePage = `SELECT ` + bareColumns + `, email_shared FROM customers WHERE merchant_id = $1 AND deleted_at IS NULL
		ORDER BY created_at DESC, id DESC LIMIT 51`
	bareCreate = `INSERT INTO customers (merchant_id, id, email, email_key, email_shared, name, name_key, name_sort, user_id, billing_city, search_key, created_at, updated_at)
		SELECT $1, $2, $3, lower($3), false, $4, lower($4), convert_to(lower($4), 'UTF8'), $5, $6, lower($3) || E'\n' || lower($4) || E'\n' || lower($5), now(), now()
		WHERE NOT EXISTS (SELECT 1 FROM customers WHERE merchant_id = $1 AND email_key = lower($3) AND deleted_at IS NULL) RETURNING ` + bareColumns
	bareUpdate = `UPDATE customers SET name = $3, name_key = lower($3), name_sort = convert_to(lower($3), 'UTF8'), billing_city = $4, updated_at = now(),
		search_key = email_key || E'\n' || lower($3) || E'\n' || lower(user_id)
		WHERE merchant_id = $1 AND id = $2 AND deleted_at IS NULL RETURNING ` + bareColumns
)

func (c *bareCustomer) fields(more ...any) []any {
	return append([]any{&c.ID, &c.Email, &c.Name, &c.UserID, &c.BillingAddressLine1, &c.BillingAddressLine2, &c.BillingCity,
		&c.BillingPostalCode, &c.BillingCountry, &c.TaxID, &c.MerchantID, &c.CreatedAt, &c.UpdatedAt, &c.DeletedAt}, more...)
}

type bare struct{ pool *pgxpool.Pool }

// newBare returns the handler that Lumen is measured against: without a framework, authentication,
// tenant isolation, log or checks. pgx prepares each statement once per connection.
func newBare(pool *pgxpool.Pool) http.Handler {
	b, mux := bare{pool}, http.NewServeMux()
	mux.HandleFunc("GET /{merchant}/customers/{id}", func(w http.ResponseWriter, r *http.Request) {
		b.one(w, r, http.StatusOK, bareGet, r.PathValue("merchant"), r.PathValue("id"))
	})
	mux.HandleFunc("POST /{merchant}/customers", b.create)
	mux.HandleFunc("PATCH /{merchant}/customers/{id}", b.update)
	mux.HandleFunc("GET /{merchant}/page", b.page)
	mux.HandleFunc("GET /{merchant}/customers", b.list)
	return mux
}

func (b bare) one(w http.ResponseWriter, r *http.Request, status int, statement string, args ...any) {
	var found bareCustomer
	if err := b.pool.QueryRow(r.Context(), statement, args...).Scan(found.fields()...); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]*bareCustomer{"customer": &found})
}

func (b bare) create(w http.ResponseWriter, r *http.Request) {
	var in bareCustomer
	_ = json.NewDecoder(r.Body).Decode(&in)
	b.one(w, r, http.StatusCreated, bareCreate, r.PathValue("merchant"), "cust_"+rand.Text(), in.Email, in.Name, in.UserID, in.BillingCity)
}

func (b bare) update(w http.ResponseWriter, r *http.Request) {
	var in bareCustomer
	_ = json.NewDecoder(r.Body).Decode(&in)
	b.one(w, r, http.StatusOK, bareUpdate, r.PathValue("merchant"), r.PathValue("id"), in.Name, in.BillingCity)
}

// page sends what GraphQL sends for a page of 50: cursors, the 15 fields and pageInfo.
func (b bare) page(w http.ResponseWriter, r *http.Request) {
	rows, _ := b.pool.Query(r.Context(), barePage, r.PathValue("merchant"))
	edges, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (edge bareEdge, err error) {
		edge.Node = new(bareCustomer)
		err = row.Scan(edge.Node.fields(&edge.Node.EmailShared)...)
		edge.Cursor = base64.RawURLEncoding.EncodeToString([]byte(edge.Node.ID + edge.Node.CreatedAt.Format(time.RFC3339Nano)))
		return edge, err
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	more := len(edges) > 50
	edges = edges[:min(len(edges), 50)]
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"customers": map[string]any{
		"edges": edges, "pageInfo": map[string]any{"hasNextPage": more, "endCursor": edges[len(edges)-1].Cursor},
	}}})
}

// list streams all customers, row by row, from one statement.
func (b bare) list(w http.ResponseWriter, r *http.Request) {
	rows, _ := b.pool.Query(r.Context(), bareList, r.PathValue("merchant"))
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriterSize(w, 32<<10)
	_, _ = out.WriteString(`{"customers":[`)
	encoder, comma := json.NewEncoder(out), ""
	var found bareCustomer
	_, err := pgx.ForEachRow(rows, found.fields(), func() error {
		_, _ = out.WriteString(comma)
		comma = ","
		return encoder.Encode(&found)
	})
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = out.WriteString("]}")
	_ = out.Flush()
}
