package program

import (
	"context"
	"errors"
	"fmt"

	"lumen/store/auth"
)

type tokenKeyCommand struct {
	Rotate tokenKeyRotate `cmd:""`
	List   tokenKeyList   `cmd:"" help:"Show the signing keys, without the private keys."`
	Revoke tokenKeyRevoke `cmd:"" help:"Stop a signing key, and every token that it signed, from working."`
}

// tokenSecretFlag is on the commands that encrypt or decrypt signing keys. It is a string, so that
// the parser never fails on it and prints its value.
type tokenSecretFlag struct {
	TokenSecret string `env:"LUMEN_TOKEN_SECRET" placeholder:"SECRET"`
}

// tokenSecret returns the secret, or nil when it is not set.
func (f tokenSecretFlag) tokenSecret(s settings) (auth.TokenSecret, error) {
	if f.TokenSecret == "" {
		return nil, nil
	}
	secret, err := auth.ParseTokenSecret(f.TokenSecret)
	if err != nil {
		return nil, errors.New(s.name("LUMEN_TOKEN_SECRET") + " is " + err.Error())
	}
	return secret, nil
}

type tokenKeyRotate struct {
	Algorithm string `enum:"EdDSA,ES256" default:"EdDSA" placeholder:"EdDSA|ES256"`
	tokenSecretFlag
	ownerFlags
	jsonFlag
}

func (c tokenKeyRotate) Run(ctx context.Context, t terminal) error {
	secret, err := c.tokenSecret(t.settings)
	if err != nil {
		return err
	}
	if secret == nil {
		return errors.New("LUMEN_TOKEN_SECRET is not set; " +
			"set it to the secret of the service, or make one with: openssl rand -base64 32")
	}
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	key, err := operator.TokenKeys.Rotate(ctx, secret, auth.Algorithm(c.Algorithm))
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"tokenKey": key})
	}
	_, err = fmt.Fprintf(t.out, "Created token key %s, which signs with %s from %s.\n",
		key.ID, key.Algorithm, shortTime(&key.SignsFrom))
	return err
}

type tokenKeyList struct {
	ownerFlags
	jsonFlag
}

func (c tokenKeyList) Run(ctx context.Context, t terminal) error {
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	keys, err := operator.TokenKeys.List(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"tokenKeys": keys})
	}
	rows := [][]string{{"TOKEN KEY", "ALGORITHM", "STATE", "CREATED", "SIGNS FROM", "REVOKED"}}
	for _, k := range keys {
		rows = append(rows, []string{
			k.ID, string(k.Algorithm), string(k.State), shortTime(&k.CreatedAt), shortTime(&k.SignsFrom), shortTime(k.RevokedAt),
		})
	}
	return t.table(rows)
}

type tokenKeyRevoke struct {
	ID string `arg:"" help:"The token key's ID."`
	ownerFlags
	jsonFlag
}

func (c tokenKeyRevoke) Run(ctx context.Context, t terminal) error {
	operator, err := c.operator(t)
	if err != nil {
		return err
	}
	defer func() { _ = operator.Close() }()
	key, err := operator.TokenKeys.Revoke(ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return t.printJSON(map[string]any{"tokenKey": key})
	}
	_, err = fmt.Fprint(t.out, t.asInvoked(fmt.Sprintf("Revoked token key %s; 'lumen token-key rotate' makes another.\n", key.ID)))
	return err
}
