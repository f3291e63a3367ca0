package auth

// Constants that external tests check the cache against.
const (
	CredentialLifetime = credentialLifetime
	RenewalAge         = renewalAge
)

// Forget empties the cache, as if five seconds had passed.
func (a *Authenticator) Forget() { a.cache.entries.Purge() }

// Cached returns the number of credentials in the cache.
func (a *Authenticator) Cached() int { return a.cache.entries.Len() }
