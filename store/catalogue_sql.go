package store

// The catalogue queries read what row-level security and privileges are made of. $1 are the names of the
// relations that the expected description knows.
//
// Lumen's relations are those, those whose name begins with lumen_, and in the schema public whatever else
// has a merchant_id, is granted to lumen_app, is a sequence of one of Lumen's tables or a view that reads
// one. Its functions are those whose name begins with lumen_, and those that run with their owner's
// privileges and belong to Lumen's owner, who is the one that most of the relations belong to. What an extension brings
// belongs to it.
const lumensObjects = `
WITH owner AS (
    SELECT r.oid, r.rolname AS name FROM pg_roles AS r
    WHERE r.oid = (SELECT mode() WITHIN GROUP (ORDER BY c.relowner) FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY($1))
),
candidates AS (
    SELECT c.*, (c.relname = ANY($1) OR c.relname LIKE 'lumen\_%'
        OR EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'merchant_id' AND NOT a.attisdropped)
        OR EXISTS (SELECT FROM aclexplode(c.relacl) AS x WHERE x.grantee = (SELECT oid FROM pg_roles WHERE rolname = 'lumen_app'))) AS lumens
    FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
),
relations AS (
    SELECT c.oid, c.relname::text AS name, c.relkind AS kind, c.relowner AS owner, c.relacl AS acl, c.relrowsecurity, c.relforcerowsecurity,
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || quote_ident(c.relname) AS spelled
    FROM candidates AS c
    WHERE c.lumens
       OR c.relkind = 'S' AND EXISTS (
            SELECT FROM pg_depend AS d JOIN candidates AS t ON t.oid = d.refobjid AND t.lumens
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass)
       OR c.relkind IN ('v', 'm') AND EXISTS (
            SELECT FROM pg_rewrite AS w JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
            JOIN candidates AS t ON t.oid = d.refobjid AND t.lumens
            WHERE w.ev_class = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid)
),
functions AS (
    SELECT p.oid, p.oid::regprocedure::text AS name, p.proowner AS owner, p.prokind AS kind,
        COALESCE(p.proacl, acldefault('f', p.proowner)) AS acl,
        CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END || p.oid::regprocedure AS spelled
    FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace AND p.prokind IN ('f', 'p')
      AND (p.proname LIKE 'lumen\_%' OR p.prosecdef AND p.proowner = (SELECT oid FROM owner))
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
),
-- Every privilege that somebody besides the object's owner holds. Grantee 0 is PUBLIC.
privileges AS (
    SELECT o.name, o.spelled, o.owner, o.col, x.grantor, x.grantee, x.privilege_type AS privilege, x.is_grantable AS grantable
    FROM (
        SELECT name, spelled, owner, NULL::text AS col, acl FROM relations
        UNION ALL SELECT r.name, r.spelled, r.owner, a.attname::text, a.attacl
            FROM relations AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
        UNION ALL SELECT name, spelled, owner, NULL, acl FROM functions
    ) AS o, aclexplode(o.acl) AS x
    WHERE x.grantee <> o.owner
),
`

// thirdRolesQuery yields the roles besides the owner, lumen_app and lumen_janitor that have privileges on Lumen's
// objects, the objects that belong to another owner, and the roles that may act as the owner: a row for each fault,
// with the SQL that mends it.
//
// Not counted are superusers and the predefined pg_* roles, which need no privilege, and members of the
// owner who may only administer the membership. Before Postgres 16 every member may act as the owner.
const thirdRolesQuery = lumensObjects + `
third_roles AS (
    SELECT p.*, COALESCE(quote_ident(r.rolname), 'PUBLIC') AS who, quote_ident(g.rolname) AS via
    FROM privileges AS p
    LEFT JOIN pg_roles AS r ON r.oid = p.grantee
    LEFT JOIN pg_roles AS g ON g.oid = p.grantor AND p.grantor <> p.owner
    WHERE p.grantee <> ALL (SELECT oid FROM owner)
      AND (r.oid IS NULL OR NOT r.rolsuper AND r.rolname NOT LIKE 'pg\_%' AND r.rolname NOT IN ('lumen_app', 'lumen_janitor'))
),
members AS (
    SELECT m.member, m.roleid, r.rolname AS role, quote_ident(u.rolname) AS who
    FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid JOIN pg_roles AS u ON u.oid = m.member
    WHERE NOT u.rolsuper AND u.rolname NOT LIKE 'pg\_%'
      AND COALESCE((to_jsonb(m) ->> 'inherit_option')::bool OR (to_jsonb(m) ->> 'set_option')::bool, true)
)
SELECT fault, mend FROM (
    SELECT 1 AS rank, 'role ' || who || ' has privileges on ' || string_agg(DISTINCT name, ', ' ORDER BY name) AS fault,
        string_agg(DISTINCT CASE WHEN via IS NULL THEN 'REVOKE ALL ON ' || spelled || ' FROM ' || who || ' CASCADE;'
            ELSE 'REVOKE GRANT OPTION FOR ALL ON ' || spelled || ' FROM ' || via || ' CASCADE;' END, ' ') AS mend
    FROM third_roles GROUP BY who
    UNION ALL
    SELECT 2, o.name || ' does not belong to ' || quote_ident(owner.name), 'ALTER ' || o.spelled || ' OWNER TO ' || quote_ident(owner.name) || ';'
    FROM owner, (SELECT name, spelled, owner FROM relations WHERE kind <> 'S' UNION ALL SELECT name, spelled, owner FROM functions) AS o
    WHERE o.owner <> owner.oid
    UNION ALL
    SELECT 3, 'role ' || m.who || ' is a member of ' || quote_ident(m.role) || ', which owns Lumen''s tables', 'REVOKE ' || quote_ident(m.role) || ' FROM ' || m.who || ';'
    FROM members AS m JOIN owner ON owner.oid = m.roleid
    UNION ALL
    SELECT 4, 'role lumen_janitor may log in', 'ALTER ROLE lumen_janitor NOLOGIN;'
    FROM pg_roles WHERE rolname = 'lumen_janitor' AND rolcanlogin
    UNION ALL
    SELECT 5, 'role ' || m.who || ' is a member of lumen_janitor', 'REVOKE lumen_janitor FROM ' || m.who || ';'
    FROM members AS m WHERE m.role = 'lumen_janitor' AND m.member <> ALL (SELECT oid FROM owner)
) AS found
ORDER BY rank, fault`

// policyText is the statement that makes a policy p of the table named t.
const policyText = `regexp_replace('CREATE POLICY ' || quote_ident(p.polname) || ' ON ' || quote_ident(t.name)
    || ' AS ' || CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END
    || ' FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END
    || ' TO ' || (SELECT string_agg(COALESCE(quote_ident(r.rolname), 'PUBLIC'), ', ' ORDER BY r.rolname)
        FROM unnest(p.polroles) AS u (oid) LEFT JOIN pg_roles AS r ON r.oid = u.oid)
    || COALESCE(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
    || COALESCE(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''), '\s+', ' ', 'g')`

// descriptionQuery yields Lumen's objects with what the expected description says of each, as JSON.
const descriptionQuery = lumensObjects + `
grants AS (
    SELECT p.name, jsonb_agg(p.privilege || COALESCE(' (' || quote_ident(p.col) || ')', '') || ' TO ' || r.rolname
        || CASE WHEN p.grantable THEN ' WITH GRANT OPTION' ELSE '' END ORDER BY p.privilege, p.col, r.rolname) AS list
    FROM privileges AS p JOIN pg_roles AS r ON r.oid = p.grantee AND r.rolname IN ('lumen_app', 'lumen_janitor')
    GROUP BY p.name
),
attached AS (
    SELECT t.oid, 'DROP TRIGGER ' || quote_ident(g.tgname) || ' ON ' || quote_ident(t.name) AS mend
        FROM relations AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal
    UNION ALL SELECT t.oid, 'DROP RULE ' || quote_ident(w.rulename) || ' ON ' || quote_ident(t.name)
        FROM relations AS t JOIN pg_rewrite AS w ON w.ev_class = t.oid AND w.rulename <> '_RETURN'
    UNION ALL SELECT t.oid, 'ALTER TABLE ' || h.inhrelid::regclass || ' NO INHERIT ' || quote_ident(t.name)
        FROM relations AS t JOIN pg_inherits AS h ON h.inhparent = t.oid
    UNION ALL SELECT t.oid, 'ALTER TABLE ' || quote_ident(t.name) || ' NO INHERIT ' || h.inhparent::regclass
        FROM relations AS t JOIN pg_inherits AS h ON h.inhrelid = t.oid
)
SELECT t.name, t.spelled, jsonb_build_object(
    'kind', t.kind,
    'security', CASE WHEN NOT t.relrowsecurity THEN 'off' WHEN t.relforcerowsecurity THEN 'forced' ELSE 'enabled' END,
    'policies', COALESCE((SELECT jsonb_object_agg(p.polname, ` + policyText + `) FROM pg_policy AS p WHERE p.polrelid = t.oid), '{}'),
    'grants', COALESCE((SELECT list FROM grants AS g WHERE g.name = t.name), '[]'),
    'attached', COALESCE((SELECT jsonb_agg(a.mend ORDER BY a.mend) FROM attached AS a WHERE a.oid = t.oid), '[]'))::text AS described
FROM relations AS t
UNION ALL
SELECT f.name, f.spelled, jsonb_build_object(
    'kind', f.kind,
    'definition', pg_get_functiondef(f.oid),
    'grants', COALESCE((SELECT list FROM grants AS g WHERE g.name = f.name), '[]'))::text
FROM functions AS f
ORDER BY 1`

// newerQuery yields the faults of a schema that is newer than this program, whose description it does not know: a
// row for each, with the SQL that mends it. A tenant table has a merchant_id, and lumen_app has a
// privilege on it.
const newerQuery = lumensObjects + `
tenants AS (
    SELECT r.* FROM relations AS r
    WHERE EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attname = 'merchant_id' AND NOT a.attisdropped)
      AND EXISTS (SELECT FROM privileges AS p JOIN pg_roles AS u ON u.oid = p.grantee AND u.rolname = 'lumen_app' WHERE p.name = r.name)
),
policies AS (
    SELECT p.polname, t.name, t.oid IN (SELECT oid FROM tenants) AS tenant, p.polpermissive AS permissive,
        pg_get_expr(p.polqual, p.polrelid) AS qual, pg_get_expr(p.polwithcheck, p.polrelid) AS with_check,
        ARRAY(SELECT COALESCE(r.rolname, 'PUBLIC') FROM unnest(p.polroles) AS u (oid) LEFT JOIN pg_roles AS r ON r.oid = u.oid) AS roles
    FROM pg_policy AS p JOIN relations AS t ON t.oid = p.polrelid
)
SELECT fault, mend FROM (
    SELECT 'row-level security is not enabled and forced on table ' || t.name AS fault,
        'ALTER TABLE ' || quote_ident(t.name) || ' ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;' AS mend
    FROM tenants AS t WHERE t.kind IN ('r', 'p') AND NOT (t.relrowsecurity AND t.relforcerowsecurity)
    UNION ALL
    SELECT 'policy ' || polname || ' on table ' || name || ' is for other roles than lumen_app and lumen_janitor',
        'DROP POLICY ' || quote_ident(polname) || ' ON ' || quote_ident(name) || ';'
    FROM policies WHERE NOT roles <@ ARRAY['lumen_app', 'lumen_janitor']::name[]
    UNION ALL
    SELECT 'policy ' || polname || ' on table ' || name || ' does not ask for the merchant',
        'DROP POLICY ' || quote_ident(polname) || ' ON ' || quote_ident(name) || ';'
    FROM policies
    WHERE tenant AND permissive AND 'lumen_app' = ANY(roles)
      AND NOT (COALESCE(qual, with_check) LIKE '%lumen.merchant\_id%' AND COALESCE(with_check, qual) LIKE '%lumen.merchant\_id%')
) AS found
ORDER BY fault`

// unboundRolesQuery yields the logins that neither row-level security nor privileges bind. It leaves out the superuser that
// the cluster was made with, whom every cluster has.
const unboundRolesQuery = `
SELECT r.rolname AS role, CASE WHEN r.rolsuper THEN 'a superuser' WHEN r.rolbypassrls THEN 'a role with BYPASSRLS'
    ELSE 'a member of ' || (SELECT min(p.rolname) FROM pg_roles AS p WHERE p.rolname = ANY('` + predefinedRoles + `') AND pg_has_role(r.oid, p.oid, 'MEMBER')) END AS why
FROM pg_roles AS r
WHERE r.rolcanlogin AND r.oid <> 10
  AND r.oid <> ALL (SELECT relowner FROM pg_class WHERE oid = to_regclass('public.lumen_migrations'))
  AND (r.rolsuper OR r.rolbypassrls
       OR EXISTS (SELECT FROM pg_roles AS p WHERE p.rolname = ANY('` + predefinedRoles + `') AND pg_has_role(r.oid, p.oid, 'MEMBER')))
ORDER BY 1`

// predefinedRoles are the roles of Postgres whose members read or write past privileges.
const predefinedRoles = `{pg_read_all_data,pg_write_all_data,pg_read_server_files,pg_write_server_files,pg_execute_server_program,pg_maintain}`
