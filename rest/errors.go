package rest

import (
	"net/http"

	"lumen/store"
)

type errorBody struct {
	Error   string   `json:"error"`
	Details []detail `json:"details,omitzero"`
}

type detail struct {
	Field   string       `json:"field"`
	Code    store.Reason `json:"code"`
	Message string       `json:"message"`
}

// writeError writes the reply for an error. The cause of the error goes only to the log.
func (h *handler) writeError(w http.ResponseWriter, r *http.Request, err error) {
	known := store.AsError(err)
	h.annotate(r.Context(), "", known.Outcome())
	for name, value := range known.Headers() {
		w.Header().Set(name, value)
	}
	if known.IsLogged() {
		h.Log.ErrorContext(r.Context(), "request failed", "code", known.Code, "error", known)
	}
	body := errorBody{Error: known.Message}
	for _, f := range known.Faults {
		body.Details = append(body.Details, detail{f.Field, f.Reason, f.Message})
	}
	writeJSON(w, known.Status(), "application/json", body)
}
