//go:build heavy

package program

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/store/storetest"
)

// From exec to the first answer: a deployment, or a restart after a crash, is not felt.
func TestServeAnswersSoonAfterItsStart(t *testing.T) {
	d := &doors{Database: storetest.New(t)}
	m := d.Merchant(t, "Acme")
	built(t)
	const times = 5
	for range times {
		start := time.Now()
		p := launch(t, func(cmd *exec.Cmd) { cmd.Env = environment("LUMEN_DATABASE_URL=" + d.AppURL()) }, "serve", "--addr", "127.0.0.1:0", "--json")
		d.serverURLs, d.log = p.ready(t).serverURLs, p.stderr
		require.Equal(t, 200, d.send(t, m.ReadKey, "GET", "/api/customers?limit=1", "").status)
		took := time.Since(start)
		t.Log(took)
		require.Less(t, took, 300*time.Millisecond)
	}
}
