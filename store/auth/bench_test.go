package auth_test

import (
	"testing"

	"lumen/store/auth"
	"lumen/store/storetest"
)

func BenchmarkAuthenticateKey(b *testing.B) {
	db := storetest.New(b)
	benchmarkAuthenticate(b, db.Auth(b), db.Merchant(b, "Acme").WriteKey)
}

func BenchmarkAuthenticateToken(b *testing.B) {
	db := storetest.New(b)
	s, _, _ := minting(b, db)
	token := mint(b, db.Context(b, db.Merchant(b, "Acme")), s, auth.TokenInput{ExpiresIn: new(3600)}).Token
	benchmarkAuthenticate(b, s, auth.Secret(token))
}

// benchmarkAuthenticate measures a credential that is cached and one that is not.
func benchmarkAuthenticate(b *testing.B, s *auth.Auth, secret auth.Secret) {
	authenticate := func(b *testing.B) {
		if _, err := s.Authenticator.Authenticate(b.Context(), secret); err != nil {
			b.Fatal(err)
		}
	}
	authenticate(b) // connects, and records the use
	b.Run("hit", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			authenticate(b)
		}
	})
	b.Run("hit from many goroutines", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(each *testing.PB) {
			for each.Next() {
				authenticate(b)
			}
		})
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Authenticator.Forget()
			authenticate(b)
		}
	})
}
