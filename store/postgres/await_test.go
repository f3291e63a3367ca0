package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestIsNotThereYet(t *testing.T) {
	t.Parallel()
	pg := func(code string) error { return &pgconn.PgError{Code: code, Message: "message"} }
	dial := func(number syscall.Errno) error { return &net.OpError{Op: "dial", Err: number} }
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"no server listens":        {dial(syscall.ECONNREFUSED), true},
		"no socket":                {dial(syscall.ENOENT), true},
		"no route":                 {dial(syscall.EHOSTUNREACH), true},
		"no network":               {dial(syscall.ENETUNREACH), true},
		"a reset":                  {dial(syscall.ECONNRESET), true},
		"a proxy without a server": {io.EOF, true},
		"an EOF during the login":  {io.ErrUnexpectedEOF, true},

		"no such name":                {&net.DNSError{IsNotFound: true}, true},
		"a name server fails":         {&net.DNSError{IsTemporary: true}, true},
		"no answer":                   {context.DeadlineExceeded, true},
		"starting":                    {pg("57P03"), true},
		"stopping":                    {pg("57P01"), true},
		"crashed":                     {pg("57P02"), true},
		"no free connection":          {pg("53300"), true},
		"a signal":                    {context.Canceled, false},
		"a wrong password":            {pg("28P01"), false},
		"a login that is refused":     {pg("28000"), false},
		"no such database":            {pg("3D000"), false},
		"no CONNECT":                  {pg("42501"), false},
		"a setting refused":           {pg("08P01"), false},
		"a socket without permission": {dial(syscall.EACCES), false},
		"an expired certificate":      {&tls.CertificateVerificationError{Err: errors.New("expired")}, false},
		"a server without TLS":        {errors.New("server refused TLS connection"), false},
		"any other error":             {errors.New("any"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, isNotThereYet(fmt.Errorf("failed to connect: %w", c.err)))
		})
	}
}
