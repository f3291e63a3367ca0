package auth

// Constants that external tests check the cache against.
const (
	CredentialLifetime = credentialLifetime
	RenewalAge         = renewalAge
)

// Forget empties the cache, as five seconds would.
func (a *Authenticator) Forget() { a.cache.entries.Purge() }

// Cached returns how many credentials the cache holds.
func (a *Authenticator) Cached() int { return a.cache.entries.Len() }
