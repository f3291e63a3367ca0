package store

// CursorOf returns the cursor of a customer in the merchant's list in this order.
func CursorOf(merchant string, sort Sort, c *Customer) string {
	o, _ := customers.order(sort)
	return encodeCursor(merchant, o, customers.position(o, c))
}
