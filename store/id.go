package store

import (
	"regexp"

	"go.jetify.com/typeid"
)

// The prefixes of ids. What follows is a TypeID's suffix: 26 lower-case characters of a version 7 UUID, whose last
// 74 bits are random.
const (
	customerPrefix = "cust"
	merchantPrefix = "merchant"
	keyPrefix      = "key"
	tokenKeyPrefix = "token_key"
)

// The accepted forms are wider than what is made today, so that ids brought from elsewhere stay well-formed.
var (
	customerID = regexp.MustCompile(`^cust_[A-Za-z0-9_]{1,64}$`)
	merchantID = regexp.MustCompile(`^merchant_[A-Za-z0-9_]{1,64}$`)
)

// IsCustomerID reports whether id has the form of a customer's id.
func IsCustomerID(id string) bool { return customerID.MatchString(id) }

// IsMerchantID reports whether id has the form of a merchant's id.
func IsMerchantID(id string) bool { return merchantID.MatchString(id) }

// checkCustomerID returns an InvalidID error unless id is well-formed.
func checkCustomerID(id string) error {
	if !IsCustomerID(id) {
		return NewError(InvalidID)
	}
	return nil
}

// newID returns a fresh id. It fails only when the system has no randomness.
func newID(prefix string) (string, error) {
	id, err := typeid.WithPrefix(prefix)
	if err != nil {
		return "", err
	}
	return id.String(), nil
}
