package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"log/slog"
	"regexp"
	"strings"
)

// Secret is what a caller presents: 256 random bits behind a recognisable prefix. It is shown once and stored nowhere.
type Secret string

// The prefixes of secrets. Demo keys are made by `lumen dev` and refused everywhere else.
const (
	secretPrefix     = "lumen_sk_"
	demoSecretPrefix = "lumen_sk_demo_"
)

var (
	secretForm     = regexp.MustCompile(`^lumen_sk_(demo_)?[a-z2-7]{52}$`)
	secretEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
)

// NewSecret returns a fresh secret.
func NewSecret() Secret { return newSecret(secretPrefix) }

// NewDemoSecret returns a fresh secret that only a development server accepts.
func NewDemoSecret() Secret { return newSecret(demoSecretPrefix) }

func newSecret(prefix string) Secret {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never fails: it ends the program instead
	return Secret(prefix + secretEncoding.EncodeToString(bits[:]))
}

// IsDemo reports whether the secret is one that only a development server accepts.
func (s Secret) IsDemo() bool { return strings.HasPrefix(string(s), demoSecretPrefix) }

// String hides the secret, so that no log can hold it by accident.
func (s Secret) String() string { return secretPrefix + "***" }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return s.String() }

// LogValue hides the secret from slog, whose JSON handler does not ask String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from JSON, and so from structured logs. Who means to show it converts it to a string.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// IsWellFormed reports whether the secret has the form of those that NewSecret and NewDemoSecret return.
func (s Secret) IsWellFormed() bool { return secretForm.MatchString(string(s)) }

// Digest returns what the database keeps of the secret.
func (s Secret) Digest() Digest { return sha256.Sum256([]byte(s)) }

// Digest stands for what was presented, a secret or the whole text of a token, which is kept nowhere.
type Digest [sha256.Size]byte
