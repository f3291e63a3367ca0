package scalar

// Node is what Query.node returns: a *store.Customer or a *store.Merchant. It asks for no method, so that the store
// need not know of it.
type Node interface{}
