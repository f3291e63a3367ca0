package auth

import (
	"encoding/base64"
	"log/slog"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"lumen/store"
)

// Token is an access token as a client presents it: a JWT in the profile of RFC 9068.
type Token string

// String hides the token, so that no log contains it by accident.
func (t Token) String() string { return "***" }

// GoString hides the token from %#v.
func (t Token) GoString() string { return t.String() }

// LogValue hides the token from slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText hides the token from JSON. Code that shows the token converts it to a string.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// IsWellFormed reports whether the text has the form of an access token. It does not verify the
// token.
func (t Token) IsWellFormed() bool {
	_, err := jwt.ParseSigned(string(t), []Algorithm{EdDSA, ES256})
	return err == nil
}

// Values that all tokens have in common.
const (
	tokenIssuer = "lumen"
	tokenType   = "at+jwt" // RFC 9068, 2.1

	// maxTokenLength is the maximum length of a credential that is parsed, in bytes. A token has
	// about 600 bytes, an API key 61.
	maxTokenLength = 2 << 10
)

// scopes maps an access to the scope claim of a token.
var scopes = map[store.Access]string{store.ReadAccess: "read", store.WriteAccess: "read write"}

// claims are the claims of a token: those of RFC 9068, section 2.2, and two of Lumen's own.
type claims struct {
	jwt.Claims
	ClientID   string  `json:"client_id"` // the API key that minted it
	MerchantID string  `json:"merchant_id"`
	Scope      string  `json:"scope"`
	CustomerID *string `json:"customer_id,omitempty"`
}

// areValid reports whether the claims belong to a token for this service that has not expired. A
// token must have an ID: store.Credential treats a credential without a TokenID as an API key.
func (c claims) areValid(audience string, now time.Time) bool {
	subject := c.MerchantID
	if c.CustomerID != nil {
		subject = *c.CustomerID
	}
	return c.Issuer == tokenIssuer && len(c.Audience) == 1 && c.Audience[0] == audience && c.ID != "" && c.Subject == subject &&
		c.IssuedAt != nil && c.Expiry != nil && now.Before(c.Expiry.Time()) && *c.Expiry-*c.IssuedAt <= MaxTokenLifetime &&
		(c.Scope == scopes[store.ReadAccess] || c.Scope == scopes[store.WriteAccess]) &&
		(c.CustomerID == nil || store.IsCustomerID(*c.CustomerID))
}

// isCanonical reports whether every part of the token is the canonical base64url text of its bytes.
// Together with hasLowS it ensures that no token has two texts.
func isCanonical(text string) bool {
	for part := range strings.SplitSeq(text, ".") {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(decoded) != part {
			return false
		}
	}
	return true
}
