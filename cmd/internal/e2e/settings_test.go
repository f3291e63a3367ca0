package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"lumen/cmd/internal/e2e/harness"
	"lumen/store/storetest"
)

// hostileSettings are defaults that an operator may have set on a database or a role. Each changes
// the meaning of a statement, the format of a value or the rows that a session sees.
var hostileSettings = map[string]string{
	"default_transaction_isolation":       "'repeatable read'",
	"default_transaction_deferrable":      "on",
	"datestyle":                           "'German'",
	"intervalstyle":                       "'sql_standard'",
	"timezone":                            "'Asia/Kolkata'",
	"row_security":                        "off",
	"search_path":                         "'nowhere'",
	"standard_conforming_strings":         "off",
	"backslash_quote":                     "on",
	"bytea_output":                        "'escape'",
	"client_encoding":                     "'LATIN1'",
	"quote_all_identifiers":               "on",
	"synchronous_commit":                  "off",
	"statement_timeout":                   "'1s'", // it also applies to the statement that sets Lumen's settings behind a pooler
	"lock_timeout":                        "'1ms'",
	"idle_in_transaction_session_timeout": "'1s'",
	"plan_cache_mode":                     "'force_generic_plan'",
	"array_nulls":                         "off",
	"transform_null_equals":               "on",
	"extra_float_digits":                  "-15",
	"xmloption":                           "'document'",
}

// TestHostileSettings runs the table of rules and several races under hostile defaults, with and
// without the mode for a pooler. It fails if the service relies on a default that it does not set
// itself.
func TestHostileSettings(t *testing.T) {
	t.Parallel()
	for _, pooler := range []string{"none", "transaction"} {
		t.Run("pooler "+pooler, func(t *testing.T) {
			t.Parallel()
			requireRulesUnderHostileSettings(t, func(_ *testing.T, _ *storetest.Database, login string) []string {
				return []string{"--database-pooler", pooler, "--database-url", login}
			})
		})
	}
}

// requireRulesUnderHostileSettings runs the service under all hostile settings together and, in the
// long form, under each alone, both on the database and on the role. flags returns the flags with
// which serve connects as a login.
func requireRulesUnderHostileSettings(t *testing.T, flags func(t *testing.T, db *storetest.Database, login string) []string) {
	t.Helper()
	cases := map[string]map[string]string{
		"all":          hostileSettings,
		"serializable": {"default_transaction_isolation": "serializable"},
	}
	if storetest.Long() {
		for name, value := range hostileSettings {
			cases[name] = map[string]string{name: value}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		for _, where := range []string{"database", "role"} {
			t.Run(name+" on the "+where, func(t *testing.T) {
				if !storetest.Long() {
					t.Parallel()
				}
				db := storetest.New(t)
				login := db.NewRole(t, "IN ROLE lumen_app")
				setAll(t, db, login, where, cases[name])
				d := harness.ServeOn(t, db, flags(t, db, login)...)
				status, body := harness.Fetch(t, "GET", d.URL+"/readyz", "", "")
				require.Equal(t, http.StatusOK, status, body)
				requireOneWinner(t, d)
				requireConcurrentUpdates(t, d)
				requireTokensWork(t, d)
				if name == "all" || storetest.Long() {
					requireRules(t, d)
				}
			})
		}
	}
}

// setAll sets the settings on the database or on the login. The superuser's sessions, which the
// tests use, keep their own settings.
func setAll(t *testing.T, db *storetest.Database, login, where string, settings map[string]string) {
	t.Helper()
	parsed, err := url.Parse(login)
	require.NoError(t, err)
	superuser, err := url.Parse(db.SuperuserURL())
	require.NoError(t, err)
	name := strings.TrimPrefix(superuser.Path, "/")
	conn, err := db.Superuser().Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	for setting, value := range settings {
		whose := "ROLE " + parsed.User.Username()
		if where == "database" {
			_, err := conn.Exec(t.Context(), fmt.Sprintf("ALTER ROLE %s IN DATABASE %s SET %s FROM CURRENT", superuser.User.Username(), name, setting))
			require.NoError(t, err)
			whose = "DATABASE " + name
		}
		_, err := conn.Exec(t.Context(), fmt.Sprintf("ALTER %s SET %s = %s", whose, setting, value))
		require.NoError(t, err, setting)
	}
}

// racers are how many requests write the same row or email at once. A busy machine takes 0.1 s for each,
// and all of them must get the lock within 2 s.
const racers = 8

// runAtOnce runs n requests at the same time and returns their statuses.
func runAtOnce(n int, request func(i int) int) []int {
	statuses := make([]int, n)
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			statuses[i] = request(i)
		})
	}
	start.Done()
	done.Wait()
	return statuses
}

// requireOneWinner creates customers with the same address at the same time: exactly one must
// succeed (I2). A customer that was created with the flag must block all later ones without it.
func requireOneWinner(t *testing.T, d *harness.Server) {
	t.Helper()
	m := d.Merchant(t, "Race")
	for round := range 8 {
		statuses := runAtOnce(racers, func(i int) int {
			return d.Send(t, m.WriteKey, "POST", "/api/customers", fmt.Sprintf(`{"email":"race%d@x.io","name":"%d"}`, round, i)).Status
		})
		slices.Sort(statuses)
		require.Equal(t, append([]int{http.StatusCreated}, slices.Repeat([]int{http.StatusConflict}, racers-1)...), statuses)
	}
	for round := range 12 {
		created := make([]time.Time, 2)
		statuses := runAtOnce(2, func(i int) int {
			r := d.Send(t, m.WriteKey, "POST", "/api/customers", fmt.Sprintf(`{"email":"pair%d@x.io"%s`, round, []string{flagged, "}"}[i]))
			if r.Status == http.StatusCreated {
				created[i] = createdAt(t, r.Body)
			}
			return r.Status
		})
		require.Equal(t, http.StatusCreated, statuses[0], "the create with the flag must always succeed")
		if statuses[1] == http.StatusCreated {
			require.False(t, created[1].After(created[0]), "the create without the flag may succeed only before the other")
			continue
		}
		require.Equal(t, http.StatusConflict, statuses[1])
	}
}

func createdAt(t testing.TB, body string) time.Time {
	t.Helper()
	_, text, ok := strings.Cut(body, `"createdAt":"`)
	require.True(t, ok, body)
	text, _, _ = strings.Cut(text, `"`)
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at
}

// requireConcurrentUpdates updates one customer many times, several times at once. Each update must wait
// for the one before it, and none may fail.
func requireConcurrentUpdates(t *testing.T, d *harness.Server) {
	t.Helper()
	m := d.Merchant(t, "Updates")
	id := d.Create(t, m, `{"email":"one@x.io"}`)
	for round := range 6 {
		statuses := runAtOnce(racers, func(i int) int {
			return d.Send(t, m.WriteKey, "POST", "/api/customers/"+id, fmt.Sprintf(`{"name":"%d of %d"}`, i, round)).Status
		})
		require.Equal(t, slices.Repeat([]int{http.StatusOK}, racers), statuses)
	}
}

// requireTokensWork creates, uses and revokes credentials, and so runs every statement on other
// tables than those of the nouns.
func requireTokensWork(t *testing.T, d *harness.Server) {
	t.Helper()
	m := d.Merchant(t, "Tokens")
	id := d.Create(t, m, `{"email":"token@x.io"}`)
	token := d.Mint(t, m.WriteKey, fmt.Sprintf(`{"access":"write","customerId":%q}`, id))
	require.Equal(t, http.StatusOK, d.Send(t, token, "GET", "/api/customers/"+id, "").Status)
	keys, err := d.Owner(t).Keys.List(t.Context(), m.ID)
	require.NoError(t, err)
	require.Len(t, keys, 2)
	for _, key := range keys {
		_, err := d.Owner(t).Keys.Revoke(t.Context(), key.ID)
		require.NoError(t, err)
	}
	requireStopsWithinLifetime(t, func() int { return d.Send(t, token, "GET", "/api/customers/"+id, "").Status })
}
