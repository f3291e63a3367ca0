package rest

import (
	"errors"
	"net/http"
	"strconv"

	"lumen/store"
)

// statuses is the REST column of the registry of errors.
var statuses = map[store.Code]int{
	store.EmailRequired:    http.StatusBadRequest,
	store.InvalidInput:     http.StatusBadRequest,
	store.InvalidID:        http.StatusBadRequest,
	store.BadRequest:       http.StatusBadRequest,
	store.Unauthenticated:  http.StatusUnauthorized,
	store.Forbidden:        http.StatusForbidden,
	store.NotFound:         http.StatusNotFound,
	store.RouteNotFound:    http.StatusNotFound,
	store.MethodNotAllowed: http.StatusMethodNotAllowed,
	store.EmailTaken:       http.StatusConflict,
	store.PayloadTooLarge:  http.StatusRequestEntityTooLarge,
	store.UnsupportedType:  http.StatusUnsupportedMediaType,
	store.RateLimited:      http.StatusTooManyRequests,
	store.Internal:         http.StatusInternalServerError,
	store.Unavailable:      http.StatusServiceUnavailable,
}

type errorBody struct {
	Error   string   `json:"error"`
	Details []detail `json:"details,omitzero"`
}

type detail struct {
	Field   string       `json:"field"`
	Code    store.Reason `json:"code"`
	Message string       `json:"message"`
}

// fail answers with an error. Its cause goes to the log, and only there.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	known := store.AsError(err)
	h.note(r.Context(), "", known.Code)
	switch known.Code {
	case store.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case store.Unavailable, store.RateLimited:
		w.Header().Set("Retry-After", strconv.Itoa(known.RetrySeconds()))
	}
	// A client that left is why, and nobody's fault. What was refused because too much goes on has no cause to tell.
	if (known.Code == store.Internal || known.Code == store.Unavailable) && errors.Unwrap(known) != nil && r.Context().Err() == nil {
		h.Log.ErrorContext(r.Context(), "request failed", "code", known.Code, "error", known)
	}
	body := errorBody{Error: known.Message}
	for _, f := range known.Faults {
		body.Details = append(body.Details, detail{f.Field, f.Reason, f.Message})
	}
	writeJSON(w, statuses[known.Code], body)
}
