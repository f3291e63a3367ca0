package auth

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzSecret checks that exactly the secrets that NewSecret could make are accepted, and that none is
// printed.
func FuzzSecret(f *testing.F) {
	made := string(NewSecret())
	for _, text := range []string{
		made, string(NewDemoSecret()), made + "a", made[:len(made)-1], made + "\n", " " + made, strings.ToUpper(made),
		"", secretPrefix, demoSecretPrefix, secretPrefix + strings.Repeat("a", 52), demoSecretPrefix + strings.Repeat("7", 52),
		secretPrefix + "demo_" + strings.Repeat("1", 52), secretPrefix + strings.Repeat("é", 26), "Bearer " + made,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		secret := Secret(text)
		rest, demo := strings.CutPrefix(text, demoSecretPrefix)
		if !demo {
			rest, _ = strings.CutPrefix(text, secretPrefix)
		}
		bits, err := secretEncoding.DecodeString(rest)
		want := len(text) == len(secretPrefix)+52 || demo && len(text) == len(demoSecretPrefix)+52
		want = want && strings.HasPrefix(text, secretPrefix) && err == nil && len(bits) == 32 && !strings.ContainsAny(text, "\r\n")
		require.Equal(t, want, secretForm.MatchString(text), "%q", text)
		require.Equal(t, demo, secret.IsDemo())
		require.Len(t, secret.Digest(), 32)

		if !want {
			return
		}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("used", "key", secret)
		slog.New(slog.NewTextHandler(&log, nil)).Info("used", "key", secret)
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			fmt.Fprintf(&log, format, secret)
			fmt.Fprintf(&log, format, struct{ Secret Secret }{secret})
		}
		require.NotContains(t, log.String(), rest)
	})
}

func TestNewSecrets(t *testing.T) {
	t.Parallel()
	seen := make(map[Secret]struct{})
	for range 10_000 {
		for _, secret := range []Secret{NewSecret(), NewDemoSecret()} {
			require.True(t, secretForm.MatchString(string(secret)))
			seen[secret] = struct{}{}
		}
	}
	require.Len(t, seen, 20_000)
	require.False(t, NewSecret().IsDemo())
	require.True(t, NewDemoSecret().IsDemo())
}
