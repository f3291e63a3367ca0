package schema

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"lumen/store/postgres"
	"lumen/store/schema/migrations"
)

// object describes a table, another relation, or a function of Lumen, as far as tenant isolation
// depends on it.
type object struct {
	Kind string `json:"kind"` // pg_class.relkind, or pg_proc.prokind

	// The following are for relations. Security is "off", "enabled" or "forced", for row-level
	// security. Policies are the statements that create the policies, by name, with white space
	// collapsed. Attached are the statements that remove the triggers, rules, children and parents.
	Security string            `json:"security,omitempty"`
	Policies map[string]string `json:"policies,omitempty"`
	Attached []string          `json:"attached,omitempty"`

	// The following are for functions. Definition is the output of pg_get_functiondef. Owner is
	// "lumen_janitor", or "" for Lumen's owner.
	Definition string `json:"definition,omitempty"`
	Owner      string `json:"owner,omitempty"`

	// Grants are the privileges of lumen_app and lumen_janitor, such as "UPDATE (email) TO
	// lumen_app".
	Grants []string `json:"grants,omitempty"`
}

// expectedObjects are Lumen's objects after the newest migration, by name. An object may have
// several valid forms: the policies of a distributed database differ from those of a single server.
var expectedObjects = func() map[string][]object {
	var expected map[string][]object
	if err := json.Unmarshal(migrations.Expected, &expected); err != nil {
		panic(err) // the file is embedded, so it is valid
	}
	return expected
}()

// checkSchema calls check and tells it whether the schema is newer than this program. If check
// finds a fault in a schema that is not newer, a newer program may have migrated meanwhile, since
// the catalogue shows a migration as soon as it is committed. checkSchema then looks again, and
// calls check again if it has.
func checkSchema(ctx context.Context, pool *postgres.Pool, check func(newer bool) error) error {
	_, newer, err := migrationStatus(ctx, pool)
	if err != nil {
		return err
	}
	found := check(newer)
	if found == nil || newer {
		return found
	}
	if _, newer, err = migrationStatus(ctx, pool); err != nil || !newer {
		return found
	}
	return check(newer)
}

// checkCatalogue returns an *UnsafeRoleError unless row-level security, functions and privileges
// are as the migrations made them, and only the owner, lumen_app and lumen_janitor have privileges.
// If the schema is newer than this program, only the rules that hold for every version are checked.
// Any login may read the catalogue.
func checkCatalogue(ctx context.Context, db bun.IConn, newer bool) error {
	query := expectedQuery
	if newer {
		query = newerQuery
	}
	found, unsafe, err := describe(ctx, db, query, expectedNames)
	if err == nil && unsafe != nil {
		err = unsafe
	}
	if err != nil || newer {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(expectedObjects)) {
		have, ok := found[name]
		if !ok {
			return missing(name)
		}
		if err := have.differs(name, expectedObjects[name]); err != nil {
			return err
		}
		delete(found, name)
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if len(found[name].Grants) > 0 {
			return &UnsafeRoleError{
				Fault: "lumen_app or lumen_janitor has privileges on " + name + ", which no migration made",
				Fix:   found[name].regrant(nil),
			}
		}
	}
	return nil
}

// missing returns the error for an expected object that does not exist. Only a function can be
// created again.
func missing(name string) *UnsafeRoleError {
	e := &UnsafeRoleError{Fault: name + " is missing, although its migration was applied", Fix: lostFix}
	if want := expectedObjects[name][0]; want.Definition != "" {
		made := describedObject{spelled: "FUNCTION public." + name}
		e.Fix = strings.TrimSpace(want.Definition) + "; REVOKE ALL ON " + made.spelled + " FROM PUBLIC; " +
			made.regrant(want.Grants)
		if want.Owner != "" {
			e.Fix += " " + made.reown(want.Owner)
		}
	}
	return e
}

// lostFix is the remedy for a lost table: no statement restores its rows.
const lostFix = "a restored backup, or a new database that lumen migrate up has prepared"

// describedObject is an object as it is in the database, and its name in statements.
type describedObject struct {
	object
	spelled string
}

// describe runs expectedQuery or newerQuery. It returns Lumen's objects by name, and the error for the
// faults, if there are any. known are the names of the expected objects.
func describe(
	ctx context.Context, db bun.IConn, query string, known knownNames,
) (objects map[string]describedObject, unsafe *UnsafeRoleError, err error) {
	rows, err := queryCatalogue(ctx, db, query, known)
	if err != nil {
		return nil, nil, err
	}
	var faults, fixes []string
	objects = make(map[string]describedObject, len(rows))
	for _, row := range rows {
		part, subject, statement, described := row[0], row[1], row[2], row[3]
		if part == "fault" {
			faults, fixes = append(faults, subject), append(fixes, statement)
			continue
		}
		o := describedObject{spelled: statement}
		if err := json.Unmarshal([]byte(described), &o.object); err != nil {
			return nil, nil, fmt.Errorf("read the catalogue: %w", err)
		}
		objects[subject] = o
	}
	if len(faults) > 0 {
		unsafe = &UnsafeRoleError{Fault: strings.Join(faults, "; "), Fix: strings.Join(fixes, " ")}
	}
	return objects, unsafe, nil
}

// knownNames are names of relations and of functions, as SQL arrays.
type knownNames struct{ relations, functions string }

// expectedNames are the names of the expected objects. No name holds a quote.
var expectedNames = func() knownNames {
	var relations, functions []string
	for name, forms := range expectedObjects {
		if forms[0].Definition == "" {
			relations = append(relations, "'"+name+"'")
		} else {
			functions = append(functions, "'"+name+"'")
		}
	}
	array := func(names []string) string { return "ARRAY[" + strings.Join(names, ",") + "]" }
	return knownNames{array(relations), array(functions)}
}()

// queryCatalogue returns the rows of a catalogue query, all of whose columns are text.
func queryCatalogue(ctx context.Context, db bun.IConn, query string, known knownNames) (found [][]string, err error) {
	rows, err := db.QueryContext(ctx, strings.NewReplacer("$1", known.relations, "$2", known.functions).Replace(query))
	if err != nil {
		return nil, fmt.Errorf("read the catalogue: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		row, into := make([]string, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read the catalogue: %w", err)
		}
		found = append(found, row)
	}
	return found, rows.Err()
}

// differs returns nil if the object has one of the valid forms. Otherwise it returns the first
// difference from the first form.
func (o describedObject) differs(name string, forms []object) error {
	var first *UnsafeRoleError
	for _, want := range forms {
		differs := o.compare(name, want)
		if differs == nil {
			return nil
		}
		if first == nil {
			first = differs
		}
	}
	return first
}

// compare returns nil if the object equals want. Otherwise it returns the first difference and the
// SQL that corrects it.
func (o describedObject) compare(name string, want object) *UnsafeRoleError {
	switch {
	case o.Kind != want.Kind:
		return unsafeRole(lostFix, "%s is not the kind of object that its migration made", name)
	case o.Security != want.Security && want.Security == "forced":
		return unsafeRole("ALTER "+o.spelled+" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;",
			"row-level security is not enabled and forced on table %s", name)
	case o.Security != want.Security && want.Security == "enabled":
		return unsafeRole("ALTER "+o.spelled+" ENABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;",
			"row-level security on table %s is not enabled, or it is forced", name)
	case o.Definition != want.Definition:
		return unsafeRole(strings.TrimSpace(want.Definition)+";", "function %s is not as its migration made it", name)
	case o.Owner != want.Owner:
		return unsafeRole(o.reown(want.Owner), "function %s does not belong to %s", name, cmp.Or(want.Owner, "Lumen's owner"))
	case !slices.Equal(o.Grants, want.Grants):
		return unsafeRole(o.regrant(want.Grants), "the privileges on %s are not those that its migration granted", name)
	case len(o.Attached) > 0:
		return unsafeRole(strings.Join(o.Attached, "; ")+";",
			"table %s has a trigger, a rule, a child or a parent", name)
	}
	return o.comparePolicies(name, want.Policies)
}

func (o describedObject) comparePolicies(name string, want map[string]string) *UnsafeRoleError {
	for _, policy := range slices.Sorted(maps.Keys(want)) {
		have, ok := o.Policies[policy]
		switch {
		case !ok:
			return unsafeRole(want[policy]+";", "policy %s on table %s is missing", policy, name)
		case have != want[policy]:
			return &UnsafeRoleError{
				Fault: "policy " + policy + " on table " + name + " is not as its migration made it",
				Fix:   "DROP POLICY " + policy + " ON public." + name + "; " + want[policy] + ";",
			}
		}
	}
	for _, policy := range slices.Sorted(maps.Keys(o.Policies)) {
		if _, ok := want[policy]; !ok {
			return &UnsafeRoleError{
				Fault: "table " + name + " has a policy " + quoteIdent(policy) + " that no migration made",
				Fix:   "DROP POLICY " + quoteIdent(policy) + " ON public." + name + ";",
			}
		}
	}
	return nil
}

// reown returns the statements that give a function to lumen_janitor or, for "", to Lumen's owner. A
// function's owner must be allowed to create functions in its schema.
func (o describedObject) reown(owner string) string {
	if owner == "" {
		return "ALTER " + o.spelled + " OWNER TO CURRENT_USER;"
	}
	return "GRANT CREATE ON SCHEMA public TO " + owner + "; ALTER " + o.spelled + " OWNER TO " + owner + "; " +
		"REVOKE CREATE ON SCHEMA public FROM " + owner + ";"
}

// regrant returns the statements after which lumen_app and lumen_janitor have exactly these
// privileges on the object.
func (o describedObject) regrant(grants []string) string {
	roles := make(map[string]bool)
	for _, grant := range slices.Concat(o.Grants, grants) {
		_, role, _ := strings.Cut(strings.TrimSuffix(grant, " WITH GRANT OPTION"), " TO ")
		roles[role] = true
	}
	var b strings.Builder
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		b.WriteString("REVOKE ALL ON " + o.spelled + " FROM " + role + " CASCADE; ")
	}
	for _, grant := range grants {
		privilege, role, _ := strings.Cut(grant, " TO ")
		b.WriteString("GRANT " + privilege + " ON " + o.spelled + " TO " + role + "; ")
	}
	return strings.TrimSpace(b.String())
}

// revokeThirdRoles revokes all privileges on Lumen's objects from roles other than the owner,
// lumen_app and lumen_janitor. A hosted database may grant privileges to the platform's roles by
// default.
func revokeThirdRoles(ctx context.Context, tx bun.IConn) error {
	if _, err := tx.ExecContext(ctx, trustedSearchPath); err != nil {
		return err
	}
	found, err := queryCatalogue(ctx, tx, revocationsQuery, expectedNames)
	if err != nil {
		return err
	}
	for _, row := range found {
		statement := "REVOKE ALL ON " + row[0] + " FROM " + row[1] + " CASCADE"
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// trustedSearchPath sets the search path for an owner's queries on the catalogue. Other roles may
// be able to create functions and operators in the schema public, which would run with the owner's
// privileges.
const trustedSearchPath = "SET LOCAL search_path = pg_catalog, pg_temp"
