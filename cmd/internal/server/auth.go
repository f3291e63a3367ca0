package server

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"lumen/store"
	"lumen/store/auth"
	"lumen/store/gate"
)

// Authenticate returns the function with which both APIs identify the caller of a request: by its
// one Authorization header, which holds Bearer, one or more spaces, and a merchant's API key or an
// access token. It returns store.Unauthenticated for anything else.
func Authenticate(authenticator *auth.Authenticator) func(*http.Request) (context.Context, error) {
	return func(r *http.Request) (context.Context, error) {
		headers := r.Header.Values("Authorization")
		if len(headers) != 1 {
			return nil, store.NewError(store.Unauthenticated)
		}
		scheme, secret, _ := strings.Cut(headers[0], " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return nil, store.NewError(store.Unauthenticated)
		}
		secret = strings.TrimLeft(secret, " ")
		ctx, waited := gate.WithArrival(r.Context())
		if r.Body != http.NoBody {
			r.Body = timedBody{r.Body, waited}
		}
		credential, err := authenticator.Authenticate(ctx, auth.Secret(secret))
		if err != nil {
			return nil, err
		}
		annotate(ctx, func(info *requestInfo) { info.merchant, info.key = credential.Merchant.ID, credential.KeyID })
		ctx = store.WithRequest(store.WithCredential(ctx, credential), store.Request{
			// Several lines are refused, as a control character is.
			ID: RequestID(ctx), Reason: strings.Join(r.Header.Values(store.ReasonHeader), "\n"),
		})
		return store.WithRecheck(ctx, authenticator.Recheck(auth.Secret(secret))), nil
	}
}

// timedBody is a request body that reports how long its reader waited for the client. The time
// before the server begins to read is not counted, as the client does not cause it.
type timedBody struct {
	io.ReadCloser
	waited func(time.Duration)
}

// Read implements io.Reader.
func (b timedBody) Read(into []byte) (int, error) {
	start := time.Now()
	n, err := b.ReadCloser.Read(into)
	b.waited(time.Since(start))
	return n, err
}

// admitEarly returns an authenticate that refuses a request before its body is read where the store
// would refuse it afterwards. A flood of requests should cost as little as possible.
func admitEarly(
	authenticate func(*http.Request) (context.Context, error), s *store.Store,
) func(*http.Request) (context.Context, error) {
	return func(r *http.Request) (context.Context, error) {
		ctx, err := authenticate(r)
		if err != nil {
			return nil, err
		}
		return ctx, s.Admit(ctx)
	}
}
