package wall

// LostError says that a connection was found dead under a statement: the server ended, ended it, or can't be reached by
// it any more.
type LostError struct {
	// Sent is whether the statement was sent, and so may have been committed.
	Sent bool
	// Rows is whether some of its rows were handed over.
	Rows bool

	cause error
}

func (e *LostError) Error() string { return "the connection was lost: " + e.cause.Error() }

// Unwrap returns what the connection said at last.
func (e *LostError) Unwrap() error { return e.cause }
