//go:build heavy

package e2e

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// From exec to the first answer: a deployment, or a restart after a crash, is not felt. A slow machine
// gets seven times as long as the program takes to print its version.
func TestServeAnswersSoonAfterItsStart(t *testing.T) {
	d := &harness.Server{Database: storetest.New(t)}
	m := d.Merchant(t, "Acme")
	program := harness.Program(t)
	var took, printed []time.Duration
	for range 5 {
		began := time.Now()
		require.NoError(t, exec.Command(program, "--version").Run())
		printed = append(printed, time.Since(began))
		start := time.Now()
		p := harness.Launch(t, func(cmd *exec.Cmd) { cmd.Env = harness.Environment("LUMEN_DATABASE_URL=" + d.AppURL()) }, "serve", "--addr", "127.0.0.1:0", "--json")
		d.URLs, d.Log = p.Ready(t).URLs, p.Stderr
		require.Equal(t, 200, d.Send(t, m.ReadKey, "GET", "/api/customers?limit=1", "").Status)
		took = append(took, time.Since(start))
	}
	t.Log(took, printed)
	require.Less(t, slices.Min(took), max(300*time.Millisecond, 7*slices.Min(printed)))
}
