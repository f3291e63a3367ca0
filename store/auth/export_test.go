package auth

// What tests hold the cache to.
const (
	CredentialLifetime = credentialLifetime
	Renewal            = renewal
	Gathering          = gathering
)

// Forget empties the cache, as half a second would.
func (a *Authenticator) Forget() { a.cache.kept.Purge() }

// Kept returns how many credentials are kept.
func (a *Authenticator) Kept() int { return a.cache.kept.Len() }

// Asking returns how many callers wait for what they asked of the database.
func (a *Authenticator) Asking() (n int) {
	a.keys.mu.Lock()
	defer a.keys.mu.Unlock()
	a.tokens.mu.Lock()
	defer a.tokens.mu.Unlock()
	for _, asking := range []map[string]int{a.keys.asking, a.tokens.asking} {
		for _, callers := range asking {
			n += callers
		}
	}
	return n
}
