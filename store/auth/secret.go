package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"log/slog"
	"regexp"
	"strings"
)

// Secret is the secret of an API key: 256 random bits after a recognizable prefix. It is shown once
// and not stored.
type Secret string

// The prefixes of secrets. `lumen dev` makes demo keys, and only it accepts them.
const (
	secretPrefix     = "lumen_sk_"
	demoSecretPrefix = "lumen_sk_demo_"
)

var (
	secretForm     = regexp.MustCompile(`^lumen_sk_(demo_)?[a-z2-7]{52}$`)
	secretEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// NewSecret returns a new random secret.
func NewSecret() Secret { return newSecret(secretPrefix) }

// NewDemoSecret returns a new random secret that only a development server accepts.
func NewDemoSecret() Secret { return newSecret(demoSecretPrefix) }

func newSecret(prefix string) Secret {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never returns an error
	return Secret(prefix + secretEncoding.EncodeToString(bits[:]))
}

// IsDemo reports whether the secret is a demo key, which only a development server accepts.
func (s Secret) IsDemo() bool { return strings.HasPrefix(string(s), demoSecretPrefix) }

// String hides the secret, so that no log contains it by accident.
func (s Secret) String() string { return secretPrefix + "***" }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from slog, whose JSON handler does not call String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from JSON and so from structured logs. Code that shows the secret
// converts it to a string.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// IsWellFormed reports whether the secret has the form that NewSecret and NewDemoSecret return.
func (s Secret) IsWellFormed() bool { return secretForm.MatchString(string(s)) }

// Digest returns the digest that the database stores.
func (s Secret) Digest() Digest { return sha256.Sum256([]byte(s)) }

// Digest is the SHA-256 of a secret or of the whole text of a token. It stands for the text, which
// nothing keeps.
type Digest [sha256.Size]byte
