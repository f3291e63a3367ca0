package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/auth"
)

// algorithms are all algorithms of signing keys.
var algorithms = []auth.Algorithm{auth.EdDSA, auth.ES256}

// signingKey is a key that signs access tokens. Only the test has its private half.
type signingKey struct {
	id      string
	alg     auth.Algorithm
	public  []byte // in the database's format
	private crypto.Signer
}

// addSigningKey adds a signing key to the database. The digit n makes its id unique.
func addSigningKey(t testing.TB, d *harness.Server, alg auth.Algorithm, n int) signingKey {
	t.Helper()
	private, public, err := auth.NewSigningKey(alg)
	require.NoError(t, err)
	key := signingKey{keyID(alg, n), alg, public, private}
	publish(t, d, key.id, public)
	return key
}

// publish adds a public key that starts to sign in a day: it verifies tokens but does not sign
// them.
func publish(t testing.TB, d *harness.Server, id string, public []byte) {
	t.Helper()
	d.SQL(t, `INSERT INTO token_keys (id, public_key, private_key, signs_from)
		VALUES ($1, $2, '', clock_timestamp() + interval '1 day')`, id, public)
}

func keyID(alg auth.Algorithm, n int) string {
	return fmt.Sprintf("token_key_00000000000000000000%s%d", strings.ToLower(string(alg)), n)
}

// sign signs as Lumen does. With ES256 it uses the smaller of the two values of s.
func (k signingKey) sign(signed []byte) []byte {
	if key, ok := k.private.(ed25519.PrivateKey); ok {
		return ed25519.Sign(key, signed)
	}
	r, s := k.signECDSA(signed)
	if other := otherS(s); other.Cmp(s) < 0 {
		s = other
	}
	return jws(r, s)
}

func (k signingKey) signECDSA(signed []byte) (r, s *big.Int) {
	digest := sha256.Sum256(signed)
	r, s, err := ecdsa.Sign(rand.Reader, k.private.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		panic(err)
	}
	return r, s
}

// otherS returns the other value that also verifies in place of s.
func otherS(s *big.Int) *big.Int { return new(big.Int).Sub(elliptic.P256().Params().N, s) }

// jws returns an ECDSA signature in the format of JWS.
func jws(r, s *big.Int) []byte {
	return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
}

// jwk returns the public half for a token's header.
func (k signingKey) jwk() jose.JSONWebKey { return jose.JSONWebKey{Key: k.private.Public()} }

// pem returns the public half in PEM format.
func (k signingKey) pem() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// algorithmForgeries returns tokens whose key, algorithm and signature do not match. token returns
// a valid token of the key with the given changes.
func algorithmForgeries(
	t *testing.T, d *harness.Server, key signingKey, token func(changes ...any) forged,
) map[string]auth.Secret {
	t.Helper()
	otherAlg := algorithms[0]
	if key.alg == otherAlg {
		otherAlg = algorithms[1]
	}
	other := addSigningKey(t, d, otherAlg, 4)
	all := map[string]auth.Secret{
		"the other algorithm's name":                           token(".alg", otherAlg).by(key.sign),
		"the other algorithm's key":                            token(".kid", other.id).by(key.sign),
		"the other algorithm's name and key":                   token(".kid", other.id, ".alg", otherAlg).by(key.sign),
		"the other algorithm's signature":                      token().by(other.sign),
		"the other algorithm's signature and name":             token(".alg", otherAlg).by(other.sign),
		"the other algorithm's signature and key":              token(".kid", other.id).by(other.sign),
		"the other algorithm, with its own key in the header":  token(".alg", otherAlg, ".jwk", other.jwk()).by(other.sign),
		"HS256 under the public key":                           token(".alg", "HS256").by(mac(key.public)),
		"HS256 under the public key's PEM":                     token(".alg", "HS256").by(mac(key.pem())),
		"HS256 under the other algorithm's public key, for it": token(".alg", "HS256", ".kid", other.id).by(mac(other.public)),
		"a public key of 65 bytes that is not on the curve":    token(".kid", addInvalidPublicKey(t, d, key.alg)).by(key.sign),
	}
	if key.alg == auth.ES256 {
		for name, sign := range map[string]func([]byte) []byte{
			"the other s of a signature": func(signed []byte) []byte {
				signature := key.sign(signed)
				return jws(new(big.Int).SetBytes(signature[:32]), otherS(new(big.Int).SetBytes(signature[32:])))
			},
			"a signature in ASN.1": func(signed []byte) []byte {
				digest := sha256.Sum256(signed)
				signature, err := key.private.Sign(rand.Reader, digest[:], crypto.SHA256)
				require.NoError(t, err)
				return signature
			},
			"a signature of zeros":     func([]byte) []byte { return make([]byte, 64) },
			"a signature of the order": func([]byte) []byte { return jws(elliptic.P256().Params().N, elliptic.P256().Params().N) },
			"a signature with r and s swapped": func(signed []byte) []byte {
				signature := key.sign(signed)
				return append(signature[32:64:64], signature[:32]...)
			},
		} {
			all[name] = token().by(sign)
		}
		all["the name of another curve"] = token(".alg", "ES384").by(key.sign)
	}
	return all
}

// addInvalidPublicKey adds a public key to the database that has the size of an ES256 key but is
// not a point on the curve, and returns its id.
func addInvalidPublicKey(t *testing.T, d *harness.Server, alg auth.Algorithm) string {
	t.Helper()
	id := keyID(alg, 6)
	publish(t, d, id, make([]byte, 65))
	return id
}
