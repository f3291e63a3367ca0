package store

import (
	"bytes"
	"context"
	"encoding/json"
)

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

// ExpectedObjects returns what expected.json should hold by the owner's database, in which nothing is but
// what the migrations made. Where the file has several forms of an object, it keeps those.
func (o *Owner) ExpectedObjects(ctx context.Context) ([]byte, error) {
	all := knownNames{
		relations: `ARRAY(SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r')`,
		functions: `ARRAY(SELECT proname || '(' || oidvectortypes(proargtypes) || ')' FROM pg_proc WHERE pronamespace = 'public'::regnamespace)`,
	}
	found, err := describe(ctx, o.pool, all)
	if err != nil {
		return nil, err
	}
	expected := make(map[string][]object, len(found))
	for name, described := range found {
		expected[name] = []object{described.object}
		if forms := expectedObjects[name]; len(forms) > 1 {
			expected[name] = append(expected[name], forms[1:]...)
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(expected)
	return text.Bytes(), err
}
