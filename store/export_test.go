package store

// CursorOf returns the cursor of a customer in the merchant's list in this order.
func CursorOf(merchant string, sort CustomerSort, c *Customer) string {
	return encodeCursor(merchant, sort, sort.position(c))
}
