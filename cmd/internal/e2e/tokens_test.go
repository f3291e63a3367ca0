package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store"
	"lumen/store/auth"
	"lumen/store/owner"
	"lumen/store/storetest"
)

// members are the members of a token's header or claims.
type members = map[string]any

// forged is an unsigned token.
type forged struct{ header, claims members }

func encoded(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// by returns the token signed with sign.
func (f forged) by(sign func(signed []byte) []byte) auth.Secret {
	signed := encoded(f.header) + "." + encoded(f.claims)
	return auth.Secret(signed + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(signed))))
}

// forgeries returns invalid tokens that resemble tokens of the merchant, by their faults.
func forgeries(t *testing.T, d *harness.Server, m, other storetest.Merchant, alg auth.Algorithm) map[string]auth.Secret {
	t.Helper()
	key, revoked, otherKey := addSigningKey(t, d, alg, 1), addSigningKey(t, d, alg, 2), addSigningKey(t, d, alg, 3)
	d.SQL(t, "UPDATE token_keys SET revoked_at = clock_timestamp() WHERE id = $1", revoked.id)

	operator := d.Owner(t)
	mintedBy := func(merchant string, change func(owner.Key)) string {
		created, err := operator.Keys.Create(t.Context(), owner.NewKey{MerchantID: merchant, Access: store.WriteAccess, Secret: auth.NewSecret()})
		require.NoError(t, err)
		change(created)
		return created.ID
	}
	live := mintedBy(m.ID, func(owner.Key) {})
	keyOfOther := mintedBy(other.ID, func(owner.Key) {})
	disabled := d.Merchant(t, "Disabled "+string(alg))
	keyOfDisabled := mintedBy(disabled.ID, func(owner.Key) {})
	_, err := operator.Merchants.Disable(t.Context(), disabled.ID)
	require.NoError(t, err)

	now := time.Now().Unix()
	token := func(changes ...any) forged { // pairs of a member's name, with a dot for the header, and its value; nil removes the member
		f := forged{
			members{"alg": alg, "typ": "at+jwt", "kid": key.id},
			members{"iss": "lumen", "aud": "lumen", "sub": m.ID, "client_id": live, "merchant_id": m.ID, "scope": "read write", "iat": now - 1, "exp": now + 900, "jti": "JTI"},
		}
		for i := 0; i < len(changes); i += 2 {
			part, name := f.claims, changes[i].(string)
			if header, ok := strings.CutPrefix(name, "."); ok {
				part, name = f.header, header
			}
			if part[name] = changes[i+1]; changes[i+1] == nil {
				delete(part, name)
			}
		}
		return f
	}
	sign := key.sign
	good := token().by(sign)
	require.Equal(t, 200, d.Send(t, good, "GET", "/api/customers", "").Status, "a forged token without a fault must work")
	require.Equal(t, 200, d.Send(t, token("exp", now+3599, "aud", []string{"lumen"}).by(sign), "GET", "/api/customers", "").Status)

	all := map[string]auth.Secret{
		"a lifetime of more than an hour":     token("exp", now+3600).by(sign),
		"no time of issue":                    token("iat", nil).by(sign),
		"another subject":                     token("sub", other.ID).by(sign),
		"a subject without the customer":      token("sub", "cust_1").by(sign),
		"a customer that is not the subject":  token("customer_id", "cust_1").by(sign),
		"the audience of development servers": token("aud", "lumen-dev").by(sign),
		"a signature by another key":          token().by(otherKey.sign),
		"a signature by an unknown key":       token(".kid", keyID(alg, 9)).by(otherKey.sign),
		"a signature by a revoked key":        token(".kid", revoked.id).by(revoked.sign),
		"another key's id":                    token(".kid", otherKey.id).by(sign),
		"no key's id":                         token(".kid", nil).by(sign),
		"a key's id that is a number":         token(".kid", 5).by(sign),
		"a key's id with a NUL":               token(".kid", key.id+"\x00").by(sign),
		"a key's id that is SQL":              token(".kid", "' OR 1=1--").by(sign),
		"no signature":                        token().by(func([]byte) []byte { return nil }),
		"half a signature":                    token().by(func(signed []byte) []byte { return sign(signed)[:32] }),
		"a longer signature":                  token().by(func(signed []byte) []byte { return append(sign(signed), 0) }),
		"expired a second ago":                token("exp", now-1).by(sign),
		"expired long ago":                    token("exp", 1).by(sign),
		"no expiry":                           token("exp", nil).by(sign),
		"an expiry that is null":              token("exp", json.RawMessage("null")).by(sign),
		"an expiry that is text":              token("exp", fmt.Sprint(now+900)).by(sign),
		"another audience":                    token("aud", "shop").by(sign),
		"another audience as well":            token("aud", []string{"lumen", "shop"}).by(sign),
		"no audience":                         token("aud", nil).by(sign),
		"another issuer":                      token("iss", "https://lumen.example").by(sign),
		"no issuer":                           token("iss", nil).by(sign),
		"the type of an ID token":             token(".typ", "JWT").by(sign),
		"a type in capitals":                  token(".typ", "AT+JWT").by(sign),
		"no type":                             token(".typ", nil).by(sign),
		"a critical header":                   token(".crit", []string{"exp"}, ".exp", now).by(sign),
		"alg none":                            token(".alg", "none").by(func([]byte) []byte { return nil }),
		"alg none, signed":                    token(".alg", "none").by(sign),
		"alg in lower case":                   token(".alg", strings.ToLower(string(alg))).by(sign),
		"no alg":                              token(".alg", nil).by(sign),
		"HS256 under the public key's text":   token(".alg", "HS256").by(mac([]byte(base64.RawURLEncoding.EncodeToString(key.public)))),
		"RS256 over its signature":            token(".alg", "RS256").by(sign),
		"its own key in the header":           token(".jwk", otherKey.jwk()).by(otherKey.sign),
		"another merchant":                    token("merchant_id", other.ID).by(sign),
		"an unknown merchant":                 token("merchant_id", "merchant_none").by(sign),
		"no merchant":                         token("merchant_id", nil).by(sign),
		"another merchant's API key":          token("client_id", keyOfOther).by(sign),
		"no API key":                          token("client_id", nil).by(sign),
		"an API key that is a number":         token("client_id", 5).by(sign),
		"a token of a disabled merchant":      token("merchant_id", disabled.ID, "client_id", keyOfDisabled).by(sign),
		"a token of a revoked API key":        token("client_id", mintedBy(m.ID, func(k owner.Key) { _, err := operator.Keys.Revoke(t.Context(), k.ID); require.NoError(t, err) })).by(sign),
		"a token of an expired API key": token("client_id", mintedBy(m.ID, func(k owner.Key) {
			d.SQL(t, "UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = $1", k.ID)
		})).by(sign),
		"no scope":                                 token("scope", nil).by(sign),
		"another scope":                            token("scope", "write").by(sign),
		"an additional scope":                      token("scope", "read write admin").by(sign),
		"no id":                                    token("jti", nil).by(sign),
		"a customer that is empty":                 token("customer_id", "").by(sign),
		"a customer that is malformed":             token("customer_id", m.ID).by(sign),
		"a customer that is a list":                token("customer_id", []string{"cust_1"}).by(sign),
		"2,049 bytes":                              padded(t, token, sign, 2049),
		"8 KiB":                                    padded(t, token, sign, 8<<10),
		"two parts":                                good[:strings.LastIndex(string(good), ".")],
		"four parts":                               good + ".e30",
		"an empty part":                            "." + good,
		"a padded part":                            good + "=",
		"a JSON object":                            auth.Secret(`{"payload":"` + strings.Split(string(good), ".")[1] + `"}`),
		"an encrypted token":                       auth.Secret(encoded(members{"alg": "dir", "enc": "A256GCM"}) + "..AAAA.AAAA.AAAA"),
		"claims that are a list":                   auth.Secret(strings.Join([]string{encoded(token().header), encoded([]int{1}), strings.Split(string(good), ".")[2]}, ".")),
		"claims that are not JSON":                 auth.Secret(strings.Join([]string{encoded(token().header), "AAAA", strings.Split(string(good), ".")[2]}, ".")),
		"a header that is not JSON":                "AAAA" + good[strings.Index(string(good), "."):],
		"a token behind another scheme's key":      "lumen_sk_" + good,
		"a signature in another spelling":          respelledSignature(good),
		"a token of this server with other claims": swapClaims(d.Mint(t, m.WriteKey, `{}`), d.Mint(t, m.WriteKey, `{"access":"write"}`)),
	}
	require.Equal(t, 200, d.Send(t, padded(t, token, sign, 2048), "GET", "/api/customers", "").Status)
	maps.Copy(all, algorithmForgeries(t, d, key, token))
	return all
}

func mac(key []byte) func([]byte) []byte {
	return func(signed []byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write(signed)
		return h.Sum(nil)
	}
}

// padded returns a valid token of the given size in bytes.
func padded(t *testing.T, token func(...any) forged, sign func([]byte) []byte, size int) auth.Secret {
	t.Helper()
	missing := (size - len(token("pad", "").by(sign))) * 3 / 4
	for n := missing - 40; n < missing; n++ {
		for header := range 4 { // base64 has no texts of 4n+1 characters, so both parts may have to grow
			if made := token("pad", strings.Repeat("x", n), ".pad", strings.Repeat("x", header)).by(sign); len(made) == size {
				return made
			}
		}
	}
	t.Fatalf("no token has %d bytes", size)
	return ""
}

// respelledSignature replaces the last character of the signature by another one that decodes to
// the same bytes: only two of its six bits count.
func respelledSignature(token auth.Secret) auth.Secret {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(letters, token[len(token)-1])
	return token[:len(token)-1] + auth.Secret(letters[last^1])
}

// rotate creates a signing key that signs at once.
func rotate(t *testing.T, d *harness.Server, alg auth.Algorithm) {
	t.Helper()
	_, err := d.Owner(t).TokenKeys.Rotate(t.Context(), d.TokenSecret, alg)
	require.NoError(t, err)
	d.SQL(t, "UPDATE token_keys SET signs_from = clock_timestamp() WHERE signs_from > clock_timestamp()")
}

// swapClaims returns the first token with the claims of the second.
func swapClaims(a, b auth.Secret) auth.Secret {
	one, two := strings.Split(string(a), "."), strings.Split(string(b), ".")
	return auth.Secret(one[0] + "." + two[1] + "." + one[2])
}

// TestTamperedTokens changes each character of a token in turn. Every changed token must be
// refused.
func TestTamperedTokens(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			testTamperedTokens(t, alg)
		})
	}
}

func testTamperedTokens(t *testing.T, alg auth.Algorithm) {
	d := harness.Serve(t)
	rotate(t, d, alg)
	m := d.Merchant(t, "Tampered")
	token := string(d.Mint(t, m.WriteKey, `{"access":"write"}`))
	require.Equal(t, 200, d.Send(t, auth.Secret(token), "GET", "/api/customers", "").Status)
	for i := range token {
		other := byte('A')
		if token[i] == other {
			other = 'B'
		}
		changed := token[:i] + string(other) + token[i+1:]
		require.Equal(t, answer{401, restNoAccess}, brief(d.Send(t, auth.Secret(changed), "GET", "/api/customers", "")), "byte %d", i)
	}
	for _, text := range []string{token[1:], token[:len(token)-1], token + "A", token + " x", strings.Replace(token, ".", "..", 1)} {
		require.Equal(t, 401, d.Send(t, auth.Secret(text), "GET", "/api/customers", "").Status, text)
	}
}

// TestTokenActors sends every operation of both APIs with every kind of token and id. It requires
// the exact refusals, no data of another customer for a bound token, and no write by a refused
// call. It fails if a customer's predicate or a check of the token's access is missing.
func TestTokenActors(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	all := tenants(t, d)
	a, b := all[0], all[1]
	sibling := d.Create(t, a.Merchant, `{"email":"sibling@example.com","name":"Sibling Secret"}`)
	ids := map[string]string{"own": a.live, "sibling": sibling, "deleted": a.gone, "foreign": b.live, "absent": "cust_01hzzzzzzzzzzzzzzzzzzzzzzz"}
	actors := map[string]auth.Secret{
		"a read token":        d.Mint(t, a.WriteKey, `{}`),
		"a write token":       d.Mint(t, a.WriteKey, `{"access":"write"}`),
		"a bound read token":  d.Mint(t, a.WriteKey, `{"customerId":"`+a.live+`"}`),
		"a bound write token": d.Mint(t, a.WriteKey, `{"customerId":"`+a.live+`","access":"write"}`),
	}
	// Updates that a bound token may send. Those of calls contain the email, which it may not
	// change.
	withoutEmail := []call{
		restCall("POST", "/api/customers/{id}", `{"name":"Changed","dangerouslyAllowSameEmailForDifferentCustomers":false}`, true).of(samples[0], store.ToUpdate),
		restCall("PATCH", "/api/customers/{id}", `{"name":"Changed","id":"cust_1"}`, true).of(samples[0], store.ToUpdate),
		graphqlCall("Mutation.updateCustomer", `(id:"{id}",input:{name:"Changed"})`, `{customer`+allFields+userErrorFields+`}`, `{"customer":null,`+notFoundPayload).of(samples[0], store.ToUpdate),
	}
	for actor, token := range actors {
		t.Run(actor, func(t *testing.T) {
			bound, writes := strings.Contains(actor, "bound"), strings.Contains(actor, "write")
			try := func(c call, touchesEmail bool) {
				for whose, id := range ids {
					if !c.byID && whose != "own" {
						continue
					}
					before := allRows(t, d)
					var forbidden bool
					switch {
					case slices.Contains(tokenOperations, c.name):
						forbidden = true
					case c.operation != "":
						forbidden = c.write && !writes || bound && (touchesEmail || !c.noun.BoundMay(c.operation))
					}
					if !bound && writes && c.operation == store.ToDelete && (whose == "own" || whose == "sibling") {
						id = d.Create(t, a.Merchant, `{"email":"`+harness.FreshEmail()+`","name":"CanaryA"}`)
						before = allRows(t, d)
					}
					r := c.send(d, t, token, id)
					status := func(rest int) int {
						if strings.Contains(c.name, ".") {
							return 200
						}
						return rest
					}
					what := fmt.Sprintf("%s %s %s: %s", actor, c.name, whose, r.Body)
					for _, text := range a.othersSecrets {
						require.NotContains(t, r.Body, text, what)
					}
					if bound {
						require.NotContains(t, r.Body, "Sibling Secret", what)
					}
					found := !c.byID || whose == "own" || !bound && (whose == "sibling" || whose == "deleted" && c.operation == store.ToFollow)
					switch {
					case forbidden:
						require.Equal(t, answer{status(403), c.forbidden}, brief(r), what)
					case !found:
						require.Equal(t, answer{status(404), c.absent}, brief(r), what)
					default:
						require.Less(t, r.Status, 300, what)
						require.NotContains(t, r.Body, `"errors"`, what)
						require.NotContains(t, r.Body, `"code"`, what)
						if c.byID && !c.write && !strings.HasPrefix(c.name, "HEAD") && c.operation != store.ToFollow {
							require.Contains(t, r.Body, c.row(id), what)
						}
						continue
					}
					require.Equal(t, before, allRows(t, d), what)
				}
			}
			for _, c := range calls {
				try(c, c.operation == store.ToUpdate && strings.Contains(c.change, `"email":`))
			}
			for _, c := range withoutEmail {
				try(c, false)
			}
			r := d.GraphQL(t, token, `query($ids:[ID!]!){nodes(ids:$ids){id} node(id:"`+a.ID+`"){id}}`, map[string]any{"ids": []string{b.ID, a.ID, a.live, b.live}})
			require.Equal(t, answer{200, `{"data":{"nodes":[null,{"id":"` + a.ID + `"},{"id":"` + a.live + `"},null],"node":{"id":"` + a.ID + `"}}}`}, brief(r))
			require.Equal(t, 401, d.Send(t, token[:len(token)-4], "GET", "/api/customers/"+a.live, "").Status)
		})
	}

	t.Run("a bound token may not change the email", func(t *testing.T) {
		token := actors["a bound write token"]
		before := allRows(t, d)
		for _, id := range []string{a.live, sibling, "cust_absent"} {
			for _, body := range []string{
				`{"email":"x@example.com"}`, `{"email":null}`, `{"email":""}`, `{"email":5}`, `{"email":"not an address","name":5}`, `{"email":"live@example.com"}`,
				`{"dangerouslyAllowSameEmailForDifferentCustomers":true}`, `{"dangerouslyAllowSameEmailForDifferentCustomers":"yes"}`, `{"name":"x","email":{}}`,
			} {
				require.Equal(t, answer{403, restForbidden}, brief(d.Send(t, token, "POST", "/api/customers/"+id, body)), body)
			}
			for _, input := range []string{`{email:"x@example.com"}`, `{email:null}`, `{email:""}`, `{email:"not an address",billingCountry:"XX"}`, `{dangerouslyAllowSameEmailForDifferentCustomers:true}`} {
				r := d.GraphQL(t, token, `mutation{updateCustomer(id:"`+id+`",input:`+input+`){customer{id}}}`, nil)
				require.Equal(t, answer{200, `{"errors":[{"message":"This credential may not do that","path":["updateCustomer"],"extensions":{"code":"FORBIDDEN"}}],"data":{"updateCustomer":null}}`}, brief(r), input)
			}
		}
		require.Equal(t, before, allRows(t, d))
		for _, body := range []string{`{}`, `{"dangerouslyAllowSameEmailForDifferentCustomers":null}`, `{"Email":"x@example.com"}`} {
			require.Equal(t, 200, d.Send(t, token, "POST", "/api/customers/"+a.live, body).Status, body)
		}
		require.Equal(t, answer{400, restInvalid("name WRONG_TYPE")}, brief(d.Send(t, token, "POST", "/api/customers/"+a.live, `{"name":5}`)))
	})
	t.Run("a token whose customer was deleted finds nothing", func(t *testing.T) {
		id := d.Create(t, a.Merchant, `{"email":"soon@example.com"}`)
		token := d.Mint(t, a.WriteKey, `{"customerId":"`+id+`","access":"write"}`)
		require.Equal(t, 200, d.Send(t, token, "GET", "/api/customers/"+id, "").Status)
		require.Equal(t, 200, d.Send(t, a.WriteKey, "DELETE", "/api/customers/"+id, "").Status)
		require.Equal(t, answer{404, restNoCustomer}, brief(d.Send(t, token, "GET", "/api/customers/"+id, "")))
		require.Equal(t, answer{404, restNoCustomer}, brief(d.Send(t, token, "POST", "/api/customers/"+id, `{"name":"x"}`)))
		require.Equal(t, answer{200, `{"data":{"customer":null,"merchant":{"id":"` + a.ID + `"}}}`}, brief(d.GraphQL(t, token, `{customer(id:"`+id+`"){id} merchant{id}}`, nil)))
	})
	t.Run("a token stops when its API key is revoked or its merchant disabled", func(t *testing.T) {
		operator, secret := d.Owner(t), auth.NewSecret()
		created, err := operator.Keys.Create(t.Context(), owner.NewKey{MerchantID: b.ID, Access: store.WriteAccess, Secret: secret})
		require.NoError(t, err)
		token, kept := d.Mint(t, secret, `{}`), d.Mint(t, b.WriteKey, `{}`)
		used := func(token auth.Secret) int { return d.Send(t, token, "GET", "/api/customers/"+b.live, "").Status }
		status := func() int { return used(token) }
		requireStopsWithMerchantAndKey(t, operator, created, status)
		require.Equal(t, 200, used(kept))
	})
}

// TestBadTokenInput sends invalid and valid inputs for access tokens. Both APIs must report the
// same faults and create no token for an invalid input.
func TestBadTokenInput(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Inputs")
	for rest, c := range map[string]struct {
		graphql string
		faults  []string
	}{
		`{"expiresIn":0}`:               {`{expiresIn:0}`, []string{"expiresIn INVALID_FORMAT"}},
		`{"expiresIn":-900}`:            {`{expiresIn:-900}`, []string{"expiresIn INVALID_FORMAT"}},
		`{"expiresIn":3601}`:            {`{expiresIn:3601}`, []string{"expiresIn INVALID_FORMAT"}},
		`{"expiresIn":2147483647}`:      {`{expiresIn:2147483647}`, []string{"expiresIn INVALID_FORMAT"}},
		`{"customerId":""}`:             {`{customerId:""}`, []string{"customerId INVALID_FORMAT"}},
		`{"customerId":"` + m.ID + `"}`: {`{customerId:"` + m.ID + `"}`, []string{"customerId INVALID_FORMAT"}},
		`{"customerId":"cust_\u0000"}`:  {`{customerId:"cust_\u0000"}`, []string{"customerId INVALID_FORMAT"}},
		`{"customerId":"cust_a b","expiresIn":0,"access":"read"}`: {`{customerId:"cust_a b",expiresIn:0,access:READ}`, []string{"customerId INVALID_FORMAT", "expiresIn INVALID_FORMAT"}},
	} {
		require.Equal(t, answer{400, restInvalid(c.faults...)}, brief(d.Send(t, m.WriteKey, "POST", "/api/access-tokens", rest)), rest)
		var list []string
		for _, fault := range c.faults {
			field, reason, _ := strings.Cut(fault, " ")
			list = append(list, `{"code":"INVALID_INPUT","field":["input","`+field+`"],"message":"`+field+` `+expectedMessage(field, reason)+`","reason":"`+reason+`"}`)
		}
		r := d.GraphQL(t, m.WriteKey, `mutation{createAccessToken(input:`+c.graphql+`){accessToken{token} userErrors{code field message reason}}}`, nil)
		require.Equal(t, answer{200, `{"data":{"createAccessToken":{"accessToken":null,"userErrors":[` + strings.Join(list, ",") + `]}}}`}, brief(r), c.graphql)
	}
	for body, faults := range map[string][]string{
		`{"access":"READ"}`: {"access INVALID_FORMAT"}, `{"access":"admin"}`: {"access INVALID_FORMAT"}, `{"access":""}`: {"access INVALID_FORMAT"},
		`{"access":5}`: {"access WRONG_TYPE"}, `{"access":["read"]}`: {"access WRONG_TYPE"}, `{"customerId":5}`: {"customerId WRONG_TYPE"}, `{"customerId":{}}`: {"customerId WRONG_TYPE"},
		`{"expiresIn":"900"}`: {"expiresIn WRONG_TYPE"}, `{"expiresIn":900.5}`: {"expiresIn WRONG_TYPE"}, `{"expiresIn":true}`: {"expiresIn WRONG_TYPE"}, `{"expiresIn":[900]}`: {"expiresIn WRONG_TYPE"},
		`{"expiresIn":1e999}`: {"expiresIn INVALID_FORMAT"}, `{"expiresIn":-1e999}`: {"expiresIn INVALID_FORMAT"}, `{"expiresIn":99999999999999999999}`: {"expiresIn INVALID_FORMAT"}, `{"expiresIn":0.0}`: {"expiresIn INVALID_FORMAT"},
		`{"expiresIn":[],"customerId":false,"access":{}}`: {"access WRONG_TYPE", "customerId WRONG_TYPE", "expiresIn WRONG_TYPE"},
	} {
		require.Equal(t, answer{400, restInvalid(faults...)}, brief(d.Send(t, m.WriteKey, "POST", "/api/access-tokens", body)), body)
	}
	// An unknown key is refused: a misspelled customerId would otherwise create a token for all
	// customers.
	const notAField = ` is not a field of an access token`
	require.Equal(t, answer{400, `{"error":"Invalid request data","details":[{"field":"access","code":"INVALID_FORMAT","message":"access must be read or write"},` +
		`{"field":"customer_id","code":"INVALID_FORMAT","message":"customer_id` + notAField + `"},{"field":"customerid","code":"INVALID_FORMAT","message":"customerid` + notAField + `"}]}`},
		brief(d.Send(t, m.WriteKey, "POST", "/api/access-tokens", `{"customerid":"cust_1","customer_id":"cust_1","access":"admin"}`)))
	require.Contains(t, d.Send(t, m.WriteKey, "POST", "/api/access-tokens", `{"`+strings.Repeat("é", 70)+`":1}`).Body, `"field":"`+strings.Repeat("é", 64)+`..."`)
	for _, input := range []string{`{access:"READ"}`, `{access:read}`, `{access:ADMIN}`, `{expiresIn:"900"}`, `{expiresIn:900.5}`, `{expiresIn:2147483648}`, `{customerId:true}`, `{merchantId:"merchant_1"}`} {
		codes, _ := errorsOf(t, d.GraphQL(t, m.WriteKey, `mutation{createAccessToken(input:`+input+`){accessToken{token}}}`, nil))
		require.Equal(t, []string{"GRAPHQL_VALIDATION_FAILED"}, codes, input)
	}
	for want, bodies := range map[string][]string{
		restBadJSON:  {``, `{`, `{}{}`, `{"access":"read","access":"write"}`},
		restNoObject: {`[]`, `null`, `"x"`, `[{"access":"read"}]`},
	} {
		for _, body := range bodies {
			require.Equal(t, answer{400, want}, brief(d.Send(t, m.WriteKey, "POST", "/api/access-tokens", body)), body)
		}
	}
	long := strings.Repeat("é", 64)
	require.Equal(t, answer{400, restInvalid(long + "... INVALID_FORMAT is not a field of an access token (2 times)")},
		brief(d.Send(t, m.WriteKey, "POST", "/api/access-tokens", `{"`+long+`1":1,"`+long+`2":1}`)), "two long names with the same start are reported once")

	// Valid inputs.
	id := d.Create(t, m, `{"email":"one@example.com"}`)
	for body, want := range map[string]string{
		`{}`: `read null 900`, `{"access":null,"customerId":null,"expiresIn":null}`: `read null 900`, `{"access":"write"}`: `write null 900`,
		`{"expiresIn":1}`: `read null 1`, `{"expiresIn":3600.0}`: `read null 3600`, `{"expiresIn":9e2,"customerId":"` + id + `"}`: `read "` + id + `" 900`,
	} {
		var minted struct {
			AccessToken struct {
				Token, Access string
				CustomerID    json.RawMessage
				ExpiresAt     time.Time
			}
		}
		r := d.Send(t, m.WriteKey, "POST", "/api/access-tokens", body)
		require.Equal(t, 201, r.Status, r.Body)
		require.Equal(t, "no-store", r.Header.Get("Cache-Control"))
		require.Empty(t, r.Header.Get("Location"))
		require.NoError(t, json.Unmarshal([]byte(r.Body), &minted))
		in := time.Until(minted.AccessToken.ExpiresAt).Round(time.Second).Seconds()
		var seconds float64
		_, err := fmt.Sscanf(want[strings.LastIndex(want, " "):], "%f", &seconds)
		require.NoError(t, err)
		require.InDelta(t, seconds, in, 2)
		require.Equal(t, want[:strings.LastIndex(want, " ")], minted.AccessToken.Access+" "+string(minted.AccessToken.CustomerID))
	}
	for _, input := range []string{`{}`, `{access:null,customerId:null,expiresIn:null}`} {
		r := d.GraphQL(t, m.WriteKey, `mutation{createAccessToken(input:`+input+`){accessToken{access customerId} userErrors{code}}}`, nil)
		require.Equal(t, answer{200, `{"data":{"createAccessToken":{"accessToken":{"access":"READ","customerId":null},"userErrors":[]}}}`}, brief(r))
	}
}

// TestJWKSRequestsShareOneQuery requests the keys that verify tokens concurrently while a lock
// blocks the query. All requests must fail after one lock timeout: they share one query instead of
// waiting in turn.
func TestJWKSRequestsShareOneQuery(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	tx, err := d.Superuser().Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = tx.Exec(t.Context(), "LOCK TABLE token_keys IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
	began := time.Now()
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			response, err := http.Get(d.URL + "/.well-known/jwks.json")
			if assert.NoError(t, err) {
				assert.Equal(t, 503, response.StatusCode)
				assert.NoError(t, response.Body.Close())
			}
		})
	}
	asking.Wait()
	require.Less(t, time.Since(began), 2*2*time.Second, "the lock timeout is 2 s")
}

// TestJWKS checks the headers and methods of the key set, and that another library verifies tokens
// of each algorithm with it and accepts no invalid ones.
func TestJWKS(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Verified")
	const path = "/.well-known/jwks.json"
	for _, key := range []auth.Secret{"", "nonsense", m.WriteKey} {
		r := d.Send(t, key, "GET", path, "")
		require.Equal(t, 200, r.Status)
		require.Equal(t, "application/jwk-set+json", r.Header.Get("Content-Type"))
		require.Equal(t, "public, max-age=300", r.Header.Get("Cache-Control"))
		head := d.Send(t, key, "HEAD", path, "")
		require.Equal(t, answer{200, ""}, brief(head))
		require.Equal(t, stable(r.Header), stable(head.Header))
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "BREW"} {
		r := d.Send(t, m.WriteKey, method, path, "")
		require.Equal(t, answer{405, restNoMethod}, brief(r))
		require.Equal(t, "GET, HEAD", r.Header.Get("Allow"))
	}
	require.Equal(t, answer{404, restNotFound}, brief(d.Send(t, m.WriteKey, "GET", "/.well-known/jwks", "")))
	require.Contains(t, d.Logged(), `"route":"/.well-known/jwks.json"`)
	require.Equal(t, "POST", d.Send(t, m.WriteKey, "GET", "/api/access-tokens", "").Header.Get("Allow"))

	for _, alg := range algorithms {
		t.Run("another library verifies only valid tokens of "+string(alg), func(t *testing.T) {
			rotate(t, d, alg)
			key, unknown := addSigningKey(t, d, alg, 1), signingKey{id: keyID(alg, 9), alg: alg}
			addInvalidPublicKey(t, d, alg)
			token := string(d.Mint(t, m.WriteKey, `{"access":"write"}`))
			var text string
			require.Eventually(t, func() bool { // the server caches the keys for 1 s
				text = d.Send(t, "", "GET", path, "").Body
				return strings.Contains(text, key.id)
			}, 5*time.Second, 50*time.Millisecond)
			require.NotContains(t, text, keyID(alg, 6), "an invalid public key must be left out")
			keys, err := keyfunc.NewJWKSetJSON(json.RawMessage(text))
			require.NoError(t, err)
			parse := func(text auth.Secret) (*jwt.Token, error) {
				return jwt.Parse(string(text), keys.Keyfunc, jwt.WithValidMethods([]string{string(alg)}), jwt.WithIssuer("lumen"), jwt.WithAudience("lumen"), jwt.WithExpirationRequired(), jwt.WithIssuedAt())
			}
			parsed, err := parse(auth.Secret(token))
			require.NoError(t, err)
			require.True(t, parsed.Valid)
			require.Equal(t, "at+jwt", parsed.Header["typ"])
			claims := parsed.Claims.(jwt.MapClaims)
			require.Equal(t, []any{m.ID, m.ID, "read write"}, []any{claims["sub"], claims["merchant_id"], claims["scope"]})

			_, err = parse(swapClaims(auth.Secret(token), d.Mint(t, m.WriteKey, `{}`)))
			require.ErrorIs(t, err, jwt.ErrTokenSignatureInvalid)
			_, err = parse(forged{members{"alg": alg, "kid": unknown.id}, members{"exp": time.Now().Unix() + 900}}.by(key.sign))
			require.ErrorIs(t, err, jwt.ErrTokenUnverifiable)
			d.SQL(t, "DELETE FROM token_keys WHERE private_key = ''") // keys that no secret opens
		})
	}
	t.Run("without signing keys there are no tokens", func(t *testing.T) {
		d.SQL(t, "DELETE FROM token_keys")
		require.Eventually(t, func() bool { // the server caches the keys for 1 s
			return brief(d.Send(t, "", "GET", path, "")) == answer{200, `{"keys":[]}`}
		}, 5*time.Second, 50*time.Millisecond)
		mintsNothing(t, d, m)
	})
}

// A server without a token secret says that tokens are not configured.
func TestNoTokenSecretNoTokens(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t, "--token-secret=")
	mintsNothing(t, d, d.Merchant(t, "Acme"))
	r := d.Send(t, d.Merchant(t, "Other").WriteKey, "POST", "/api/access-tokens", `no JSON`)
	require.Equal(t, answer{503, restNoTokens}, brief(r), "the body is not read")
}

// restNoTokens is what a server says that can't mint tokens.
const restNoTokens = `{"error":"Access tokens are not configured on this server"}`

// mintsNothing requires that both APIs say why a write key gets no token. It is no outage: no client is
// told to try again, and no metric counts it as UNAVAILABLE.
func mintsNothing(t *testing.T, d *harness.Server, m storetest.Merchant) {
	t.Helper()
	r := d.Send(t, m.WriteKey, "POST", "/api/access-tokens", `{"access":"none"}`)
	require.Equal(t, answer{503, restNoTokens}, brief(r))
	require.Empty(t, r.Header.Get("Retry-After"))
	require.Equal(t, answer{403, restForbidden}, brief(d.Send(t, m.ReadKey, "POST", "/api/access-tokens", `{}`)))

	const mutation = `mutation{createAccessToken(input:{}){accessToken{token}}}`
	refused := func(message, code string) answer {
		return answer{200, `{"errors":[{"message":"` + message + `","path":["createAccessToken"],` +
			`"extensions":{"code":"` + code + `"}}],"data":{"createAccessToken":null}}`}
	}
	r = d.GraphQL(t, m.WriteKey, mutation, nil)
	require.Equal(t, refused("Access tokens are not configured on this server", "TOKENS_NOT_CONFIGURED"), brief(r))
	require.Empty(t, r.Header.Get("Retry-After"))
	r = d.GraphQL(t, m.ReadKey, mutation, nil)
	require.Equal(t, refused("This credential may not do that", "FORBIDDEN"), brief(r))

	metrics := d.Metrics(t)
	for _, door := range []string{"graphql", "rest"} {
		series := `,door="` + door + `",operation="createAccessToken"} `
		require.Contains(t, metrics, `lumen_requests_total{code="TOKENS_NOT_CONFIGURED"`+series+"1\n")
		require.Contains(t, metrics, `lumen_requests_total{code="UNAVAILABLE"`+series+"0\n")
	}
	require.NotContains(t, d.Logged(), `"level":"ERROR"`)
	status, body := harness.Fetch(t, "GET", d.URL+"/readyz", "", "")
	require.Equal(t, http.StatusOK, status, body)
}

// TestRotationUnderLoad rotates signing keys while tokens are created and used. No request with a
// valid token may fail. After a key is revoked, only its own tokens must stop.
func TestRotationUnderLoad(t *testing.T) {
	t.Parallel()
	d := harness.Serve(t)
	m := d.Merchant(t, "Rotating")
	id := d.Create(t, m, `{"email":"one@example.com"}`)
	operator := d.Owner(t)
	kid := func(token auth.Secret) string {
		header, err := base64.RawURLEncoding.DecodeString(strings.Split(string(token), ".")[0])
		require.NoError(t, err)
		var h struct{ Kid string }
		require.NoError(t, json.Unmarshal(header, &h))
		return h.Kid
	}

	stop := make(chan struct{})
	var mu sync.Mutex
	var tokens []auth.Secret
	var faults []string
	used := 0
	var workers sync.WaitGroup
	for worker := range 6 {
		workers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				minted := d.Send(t, m.WriteKey, "POST", "/api/access-tokens", `{"customerId":"`+id+`","access":"write"}`)
				var body struct{ AccessToken struct{ Token auth.Secret } }
				err := json.Unmarshal([]byte(minted.Body), &body)
				token := body.AccessToken.Token
				mu.Lock()
				if minted.Status != 201 || err != nil {
					faults = append(faults, minted.Body)
				} else {
					tokens = append(tokens, token)
				}
				older := tokens[(worker+i*7)%len(tokens)]
				mu.Unlock()
				for _, token := range []auth.Secret{token, older} {
					r := d.Send(t, token, "GET", "/api/customers/"+id, "")
					mu.Lock()
					used++
					if r.Status != 200 {
						faults = append(faults, fmt.Sprint(r.Status, r.Body))
					}
					mu.Unlock()
				}
			}
		})
	}
	const rotations = 20
	for i := range rotations {
		rotate(t, d, algorithms[i%len(algorithms)])
		time.Sleep(20 * time.Millisecond) // so that each key signs some tokens; the number does not matter
	}
	time.Sleep(50 * time.Millisecond)
	close(stop)
	workers.Wait()
	require.Empty(t, faults)
	byKey := map[string]auth.Secret{}
	for _, token := range tokens {
		byKey[kid(token)] = token
	}
	t.Logf("%d tokens by %d keys, used %d times", len(tokens), len(byKey), used)
	require.Greater(t, len(byKey), 3)

	leaked := kid(tokens[0])
	for signer, token := range byKey {
		require.Equal(t, 200, d.Send(t, token, "GET", "/api/customers/"+id, "").Status, signer)
	}
	_, err := operator.TokenKeys.Revoke(t.Context(), leaked)
	require.NoError(t, err)
	requireStopsWithinLifetime(t, func() int { return d.Send(t, byKey[leaked], "GET", "/api/customers/"+id, "").Status })
	for signer, token := range byKey {
		if signer != leaked {
			require.Equal(t, 200, d.Send(t, token, "GET", "/api/customers/"+id, "").Status, signer)
		}
	}
	require.NotContains(t, d.Send(t, "", "GET", "/.well-known/jwks.json", "").Body, leaked)
}
