package rest

import (
	"net/http"

	"lumen/store"
)

func (h *handler) listCustomers(w http.ResponseWriter, r *http.Request) error {
	query, err := readQuery(r)
	switch {
	case err != nil:
		return err
	case r.Method == http.MethodHead:
		w.Header().Set("Content-Type", "application/json")
		return nil
	case query.First == nil:
		return h.streamCustomers(w, r, query.Filter)
	}
	page, err := h.customers.List(r.Context(), query)
	if err != nil {
		return err
	}
	send(w, http.StatusOK, "application/json", appendPage(nil, page))
	return nil
}

func (h *handler) getCustomer(w http.ResponseWriter, r *http.Request) error {
	customer, err := h.customers.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	writeCustomer(w, http.StatusOK, customer)
	return nil
}

func (h *handler) createCustomer(w http.ResponseWriter, r *http.Request) error {
	if err := store.Authorize(r.Context(), store.ToCreate); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	customer, err := h.customers.Create(r.Context(), readInput(body))
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/customers/"+customer.ID)
	writeCustomer(w, http.StatusCreated, customer)
	return nil
}

func (h *handler) updateCustomer(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if err := store.Authorize(r.Context(), store.ToUpdate); err != nil {
		return err
	}
	if !store.IsCustomerID(id) {
		return store.NewError(store.InvalidID)
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	customer, err := h.customers.Update(r.Context(), id, readInput(body))
	if err != nil {
		return err
	}
	writeCustomer(w, http.StatusOK, customer)
	return nil
}

func (h *handler) deleteCustomer(w http.ResponseWriter, r *http.Request) error {
	if _, err := h.customers.Delete(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, struct {
		Success bool `json:"success"`
	}{true})
	return nil
}

func writeCustomer(w http.ResponseWriter, status int, c *store.Customer) {
	body := appendCustomer([]byte(`{"customer":`), c)
	send(w, status, "application/json", append(body, '}'))
}
