package auth_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"

	"lumen/store/auth"
)

// An API key has one form. Nothing prints its secret by accident.
func ExampleSecret() {
	secret := auth.Secret("lumen_sk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	fmt.Println(secret.IsWellFormed(), secret.IsDemo())
	fmt.Println(auth.Secret("lumen_sk_short").IsWellFormed())
	fmt.Printf("%v %#v\n", secret, secret)
	text, _ := json.Marshal(map[string]auth.Secret{"apiKey": secret})
	fmt.Println(string(text))

	demo := auth.NewDemoSecret()
	fmt.Println(demo.IsWellFormed(), demo.IsDemo(), len(demo))
	// Output:
	// true false
	// false
	// lumen_sk_*** lumen_sk_***
	// {"apiKey":"lumen_sk_***"}
	// true true 66
}

// The database stores the digest of a secret, and looks the key up by it.
func ExampleSecret_Digest() {
	secret := auth.Secret("lumen_sk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
	fmt.Printf("%x\n", secret.Digest())
	// Output:
	// dfec17af6a551feb75e9199626c95126907a5520132934ed7f70586f1806f7ff
}

// A token secret comes from the environment as text, such as the output of: openssl rand -base64 32
func ExampleParseTokenSecret() {
	secret, err := auth.ParseTokenSecret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	fmt.Println(secret, err)
	_, err = auth.ParseTokenSecret("a password")
	fmt.Println(err)
	// Output:
	// *** <nil>
	// not the base64 of 32 bytes; make one with: openssl rand -base64 32
}

// The database stores signing keys encrypted. A key opens only with the secret and under the ID
// with which it was sealed.
func ExampleTokenSecret_Seal() {
	secret := auth.NewTokenSecret()
	key, _, err := auth.NewSigningKey(auth.EdDSA)
	if err != nil {
		panic(err)
	}
	sealed, err := secret.Seal("token_key_1", key)
	if err != nil {
		panic(err)
	}
	opened, err := secret.Open("token_key_1", sealed)
	fmt.Println(opened.Public().(ed25519.PublicKey).Equal(key.Public()), err)
	_, err = secret.Open("token_key_2", sealed)
	fmt.Println(err)
	_, err = auth.NewTokenSecret().Open("token_key_1", sealed)
	fmt.Println(err)
	// Output:
	// true <nil>
	// the token secret does not open signing key token_key_2
	// the token secret does not open signing key token_key_1
}
