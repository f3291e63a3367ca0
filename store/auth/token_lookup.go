package auth

import (
	"context"
	"regexp"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"lumen/store"
)

// anyID matches every ID. Text that matches it is valid in Postgres.
var anyID = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)

// fetchToken returns the function that looks up a token. A valid token is signed by a key that
// verifies, is for this service, has not expired, and was minted by a valid API key of an enabled
// merchant. Any other token is Unauthenticated. The function reads all of this from the database in
// one query.
func (a *Authenticator) fetchToken(digest Digest, text string) (fetch, error) {
	refused := store.NewError(store.Unauthenticated)
	if !isCanonical(text) {
		return nil, refused
	}
	token, err := jwt.ParseSigned(text, []Algorithm{EdDSA, ES256})
	if err != nil || len(token.Headers) != 1 || token.Headers[0].ExtraHeaders[jose.HeaderType] != tokenType {
		return nil, refused
	}
	if token.Headers[0].Algorithm == string(ES256) && !hasLowS(text) {
		return nil, refused
	}
	var unverified claims
	if err := token.UnsafeClaimsWithoutVerification(&unverified); err != nil ||
		!anyID.MatchString(token.Headers[0].KeyID) || !anyID.MatchString(unverified.MerchantID) || !anyID.MatchString(unverified.ClientID) {
		return nil, refused
	}
	return func(ctx context.Context) (store.Credential, time.Duration, error) {
		return a.findToken(ctx, a.cache.tenant(digest), token, unverified)
	}, nil
}

// foundToken is the result of looking up a token whose keys and merchant are valid.
type foundToken struct {
	PublicKey    []byte
	KeyName      *string // of the API key that minted the token
	MerchantName string
	Now          time.Time
}

// findToken verifies a token. It returns the credential and the time until the token expires.
func (a *Authenticator) findToken(
	ctx context.Context, tenant string, token *jwt.JSONWebToken, unverified claims,
) (store.Credential, time.Duration, error) {
	const statement = `SELECT public_key, key_name, merchant_name, now FROM public.lumen_authenticate_token($1, $2, $3)`
	refused := store.NewError(store.Unauthenticated)
	var found []foundToken
	err := a.queries.run(ctx, tenant, &found, statement, token.Headers[0].KeyID, unverified.MerchantID, unverified.ClientID)
	if err != nil {
		return store.Credential{}, 0, store.Outage(err)
	}
	if len(found) != 1 {
		return store.Credential{}, 0, refused
	}
	header := token.Headers[0]
	key, err := publicKey(header.KeyID, found[0].PublicKey)
	if err != nil || key.Algorithm != header.Algorithm {
		return store.Credential{}, 0, refused
	}
	var verified claims
	if err := token.Claims(key, &verified); err != nil || !verified.areValid(a.audience, found[0].Now) {
		return store.Credential{}, 0, refused
	}
	credential := store.Credential{
		KeyID: verified.ClientID, TokenID: verified.ID, Access: store.ReadAccess,
		Merchant: store.Merchant{ID: verified.MerchantID, Name: found[0].MerchantName},
	}
	if verified.Scope == scopes[store.WriteAccess] {
		credential.Access = store.WriteAccess
	}
	if name := found[0].KeyName; name != nil {
		credential.KeyName = *name
	}
	if verified.CustomerID != nil {
		credential.CustomerID = *verified.CustomerID
	}
	return credential, verified.Expiry.Time().Sub(found[0].Now), nil
}
