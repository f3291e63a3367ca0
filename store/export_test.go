package store

// CredentialLifetime is what tests hold the cache to.
const (
	CredentialLifetime = credentialLifetime
	Renewal            = renewal
)

// Forget empties the cache, as half a second would.
func (a *Authenticator) Forget() { a.cache.kept.Purge() }

// Kept returns how many credentials are kept.
func (a *Authenticator) Kept() int { return a.cache.kept.Len() }
