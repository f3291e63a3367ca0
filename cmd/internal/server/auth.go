package server

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"lumen/store"
)

// Authenticate returns how both doors learn whom a request comes from: its one Authorization header, Bearer and a
// merchant's API key or an access token. Anything else is store.Unauthenticated.
func Authenticate(authenticator *store.Authenticator) func(*http.Request) (context.Context, error) {
	return func(r *http.Request) (context.Context, error) {
		headers := r.Header.Values("Authorization")
		if len(headers) != 1 {
			return nil, store.NewError(store.Unauthenticated)
		}
		scheme, secret, _ := strings.Cut(headers[0], " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, store.NewError(store.Unauthenticated)
		}
		ctx, waited := store.Arrived(r.Context())
		r.Body = arriving{r.Body, waited}
		credential, err := authenticator.Authenticate(ctx, store.Secret(secret))
		if err != nil {
			return nil, err
		}
		note(ctx, func(n *notes) { n.merchant = credential.Merchant.ID })
		return store.WithRecheck(store.WithCredential(ctx, credential), authenticator.Recheck(store.Secret(secret))), nil
	}
}

// arriving is a body that tells for how long it was waited for: that is up to the client. How late it is read is not.
type arriving struct {
	io.ReadCloser
	waited func(time.Duration)
}

// Read implements io.Reader.
func (b arriving) Read(into []byte) (int, error) {
	start := time.Now()
	n, err := b.ReadCloser.Read(into)
	b.waited(time.Since(start))
	return n, err
}

// admitted is an authenticate that refuses a request when it would be refused after it has been read: a flood is to cost as
// little as it can.
func admitted(authenticate func(*http.Request) (context.Context, error), customers *store.Customers) func(*http.Request) (context.Context, error) {
	return func(r *http.Request) (context.Context, error) {
		ctx, err := authenticate(r)
		if err != nil {
			return nil, err
		}
		return ctx, customers.Admit(ctx)
	}
}
