package scalar

// Node is the interface Node of the schema: a *store.Customer or a *store.Merchant. It has no
// methods, so package store does not depend on it.
type Node interface{}
