package wall

// LostError reports that the connection died while a statement used it: the server stopped, closed
// the connection, or became unreachable.
type LostError struct {
	// Sent reports whether the statement was sent, so that it may have been committed.
	Sent bool
	// Rows reports whether the caller has received some of its rows.
	Rows bool

	cause error
}

func (e *LostError) Error() string { return "the connection was lost: " + e.cause.Error() }

// Unwrap returns the last error of the connection.
func (e *LostError) Unwrap() error { return e.cause }
