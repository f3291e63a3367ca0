package schema

// The catalogue queries read row-level security and privileges from Postgres's catalogue. $1 and $2
// stand for arrays of the names of the expected relations and functions.
//
// Lumen's objects are:
//
//   - the expected relations and functions
//   - in the schema public, the objects of Lumen's owner whose names begin with lumen_, and the
//     objects on which lumen_app has privileges
//   - the sequences of all of these
//   - in any schema, the views that read one of the tables, the tables with a rule that does, and
//     the functions that name one and run as Lumen's owner, as lumen_janitor, as a superuser or with
//     BYPASSRLS
//
// Lumen's owner is the role that owns most of the expected relations. Trigger functions are left
// out, because they cannot be called, and so are the objects of extensions.
const lumensObjects = `
WITH RECURSIVE known (name) AS (SELECT unnest($1::text[])),
owner AS (
    SELECT r.oid, r.rolname AS name FROM pg_roles AS r
    WHERE r.oid = (SELECT mode() WITHIN GROUP (ORDER BY c.relowner) FROM pg_class AS c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname::text IN (SELECT name FROM known))
),
app AS (SELECT oid FROM pg_roles WHERE rolname = 'lumen_app'),
janitor AS (SELECT oid FROM pg_roles WHERE rolname = 'lumen_janitor'),
of_extensions AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
tables AS (
    SELECT c.oid FROM pg_class AS c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
      AND (c.relname::text IN (SELECT name FROM known) OR c.relname::text LIKE 'lumen\_%' AND c.relowner IN (SELECT oid FROM owner)
           OR EXISTS (SELECT FROM aclexplode(c.relacl) AS x WHERE x.grantee IN (SELECT oid FROM app)))
      AND ('pg_class'::regclass, c.oid) NOT IN (SELECT classid, objid FROM of_extensions)
),
readers (oid) AS (
    SELECT oid FROM tables
    UNION SELECT w.ev_class FROM readers AS t
        JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.classid = 'pg_rewrite'::regclass
        JOIN pg_rewrite AS w ON w.oid = d.objid
),
relations AS (
    SELECT c.oid, CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS name, c.relkind AS kind,
        c.relowner AS owner, c.relacl AS acl, c.relrowsecurity, c.relforcerowsecurity,
        CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS spelled,
        n.nspname = 'public' AND c.relname::text IN (SELECT name FROM known) AS own
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid IN (SELECT oid FROM readers)
       OR c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend AS d JOIN tables AS t ON t.oid = d.refobjid
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass)
),
named_functions AS (
    SELECT p.*, n.nspname, CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || p.proname || '(' || oidvectortypes(p.proargtypes) || ')' AS name,
        CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END || quote_ident(n.nspname) || '.' || quote_ident(p.proname)
            || '(' || oidvectortypes(p.proargtypes) || ')' AS spelled
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.prokind IN ('f', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
      AND ('pg_proc'::regclass, p.oid) NOT IN (SELECT classid, objid FROM of_extensions)
),
functions AS (
    SELECT p.oid, p.name, p.spelled, p.prokind AS kind, p.proowner AS owner, COALESCE(p.proacl, acldefault('f', p.proowner)) AS acl,
        p.name = ANY($2::text[]) AS own
    FROM named_functions AS p JOIN pg_roles AS r ON r.oid = p.proowner
    WHERE (p.name = ANY($2::text[])
           OR p.nspname = 'public' AND p.proname::text LIKE 'lumen\_%' AND p.proowner IN (SELECT oid FROM owner)
           OR p.nspname = 'public' AND EXISTS (SELECT FROM aclexplode(p.proacl) AS x WHERE x.grantee IN (SELECT oid FROM app))
           OR p.prosecdef AND (r.rolsuper OR r.rolbypassrls OR r.oid IN (SELECT oid FROM owner) OR r.oid IN (SELECT oid FROM janitor))
              AND (EXISTS (SELECT FROM known WHERE p.prosrc ~* ('\m' || known.name || '\M'))
                   OR EXISTS (SELECT FROM pg_depend AS d JOIN readers AS t ON t.oid = d.refobjid
                        WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_class'::regclass)))
),
-- All privileges of roles other than the object's owner. Grantee 0 is PUBLIC.
privileges AS (
    SELECT o.oid, o.name, o.spelled, o.own, o.owner, o.col, x.grantor, x.grantee, x.privilege_type AS privilege, x.is_grantable AS grantable
    FROM (
        SELECT oid, name, spelled, own, owner, NULL::text AS col, acl FROM relations
        UNION ALL SELECT r.oid, r.name, r.spelled, r.own, r.owner, a.attname::text, a.attacl
            FROM relations AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
        UNION ALL SELECT oid, name, spelled, own, owner, NULL, acl FROM functions
    ) AS o, aclexplode(o.acl) AS x
    WHERE x.grantee <> o.owner
),
-- The privileges of roles that are not Lumen's. Superusers need none, and predefined roles get a warning.
third_roles AS (
    SELECT p.*, COALESCE(quote_ident(r.rolname), 'PUBLIC') AS who, quote_ident(g.rolname) AS via
    FROM privileges AS p
    LEFT JOIN pg_roles AS r ON r.oid = p.grantee
    LEFT JOIN pg_roles AS g ON g.oid = p.grantor AND p.grantor <> p.owner
    WHERE p.grantee <> ALL (SELECT oid FROM owner)
      AND (r.oid IS NULL OR NOT r.rolsuper AND r.rolname::text NOT LIKE 'pg\_%' AND r.rolname NOT IN ('lumen_app', 'lumen_janitor'))
),
`

// thirdRoleFaults are the faults, with the SQL that corrects them, that concern a role other than the
// owner, lumen_app and lumen_janitor: one that has privileges on Lumen's objects, an object with
// another owner than the first and, for a function, the last of these, a role that may act as the
// owner, and a misuse of lumen_janitor.
//
// Members of the owner that may only administer the membership do not count. Before Postgres 16
// every member may act as the owner.
const thirdRoleFaults = `
members AS (
    SELECT m.member, m.roleid, r.rolname AS role, quote_ident(u.rolname) AS who,
        'REVOKE ' || quote_ident(r.rolname) || ' FROM ' || quote_ident(u.rolname)
            || CASE WHEN current_setting('server_version_num')::int >= 160000 THEN ' GRANTED BY ' || quote_ident(g.rolname) || ' CASCADE' ELSE '' END || ';' AS fix
    FROM pg_auth_members AS m JOIN pg_roles AS r ON r.oid = m.roleid JOIN pg_roles AS u ON u.oid = m.member
    LEFT JOIN pg_roles AS g ON g.oid = m.grantor
    WHERE NOT u.rolsuper AND u.rolname::text NOT LIKE 'pg\_%'
      AND COALESCE((to_jsonb(m) ->> 'inherit_option')::bool OR (to_jsonb(m) ->> 'set_option')::bool, true)
),
third_role_faults AS (
    SELECT 1 AS rank, 'role ' || who || ' has privileges on ' || string_agg(DISTINCT name, ', ' ORDER BY name) AS fault,
        string_agg(DISTINCT CASE WHEN via IS NULL THEN 'REVOKE ALL ON ' || spelled || ' FROM ' || who || ' CASCADE;'
            ELSE 'REVOKE GRANT OPTION FOR ALL ON ' || spelled || ' FROM ' || via || ' CASCADE;' END, ' ') AS fix
    FROM third_roles GROUP BY who
    UNION ALL
    SELECT 2, o.name || ' does not belong to ' || quote_ident(owner.name), 'ALTER ' || o.spelled || ' OWNER TO ' || quote_ident(owner.name) || ';'
    FROM owner, (SELECT name, spelled, owner FROM relations WHERE own AND kind <> 'S'
        UNION ALL SELECT name, spelled, owner FROM functions WHERE own AND owner NOT IN (SELECT oid FROM janitor)) AS o
    WHERE o.owner <> owner.oid
    UNION ALL
    SELECT 3, 'role ' || m.who || ' is a member of ' || quote_ident(m.role) || ', which owns Lumen''s tables', m.fix
    FROM members AS m JOIN owner ON owner.oid = m.roleid
    UNION ALL
    SELECT 4, 'role lumen_janitor may log in', 'ALTER ROLE lumen_janitor NOLOGIN;'
    FROM pg_roles WHERE rolname = 'lumen_janitor' AND rolcanlogin
    UNION ALL
    SELECT 4, 'role lumen_janitor ' || CASE WHEN rolsuper THEN 'is a superuser' ELSE 'has BYPASSRLS' END, 'ALTER ROLE lumen_janitor NOSUPERUSER NOBYPASSRLS;'
    FROM pg_roles WHERE rolname = 'lumen_janitor' AND (rolsuper OR rolbypassrls)
    UNION ALL
    SELECT 5, 'role ' || m.who || ' is a member of lumen_janitor', m.fix
    FROM members AS m WHERE m.role = 'lumen_janitor' AND m.member <> ALL (SELECT oid FROM owner)
      AND has_database_privilege(m.member, current_database(), 'CONNECT')
),
`

// revocationsQuery returns the privileges that a migration revokes: those of other roles on the
// expected objects that the migrating role owns. The columns are an object and a role, as
// statements spell them.
const revocationsQuery = lumensObjects + `
own AS (SELECT DISTINCT spelled, who FROM third_roles WHERE own AND via IS NULL AND pg_has_role(owner, 'USAGE'))
SELECT spelled, who FROM own ORDER BY spelled, who`

// policyText is an SQL expression for the statement that creates the policy p of the table t.
const policyText = `regexp_replace('CREATE POLICY ' || quote_ident(p.polname) || ' ON ' || substr(t.spelled, 7)
    || ' AS ' || CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END
    || ' FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END
    || ' TO ' || (SELECT string_agg(COALESCE(quote_ident(r.rolname), 'PUBLIC'), ', ' ORDER BY r.rolname)
        FROM unnest(p.polroles) AS u (oid) LEFT JOIN pg_roles AS r ON r.oid = u.oid)
    || COALESCE(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')
    || COALESCE(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''), '\s+', ' ', 'g')`

// expectedQuery returns the faults of third roles, and Lumen's objects. A row is ('fault', what it is,
// the SQL that corrects it, empty) or ('object', its name, how statements spell it, its description as
// the expected description has it).
const expectedQuery = lumensObjects + thirdRoleFaults + `
grants AS (
    SELECT p.oid, jsonb_agg(p.privilege || COALESCE(' (' || quote_ident(p.col) || ')', '') || ' TO ' || r.rolname
        || CASE WHEN p.grantable THEN ' WITH GRANT OPTION' ELSE '' END ORDER BY p.privilege, p.col, r.rolname) AS list
    FROM privileges AS p JOIN pg_roles AS r ON r.oid = p.grantee AND r.rolname IN ('lumen_app', 'lumen_janitor')
    GROUP BY p.oid
),
attached AS (
    SELECT t.oid, 'DROP TRIGGER ' || quote_ident(g.tgname) || ' ON ' || substr(t.spelled, 7) AS fix
        FROM relations AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal
    UNION ALL SELECT t.oid, 'DROP RULE ' || quote_ident(w.rulename) || ' ON ' || substr(t.spelled, 7)
        FROM relations AS t JOIN pg_rewrite AS w ON w.ev_class = t.oid AND w.rulename <> '_RETURN'
    UNION ALL SELECT t.oid, 'ALTER TABLE ' || h.inhrelid::regclass || ' NO INHERIT ' || substr(t.spelled, 7)
        FROM relations AS t JOIN pg_inherits AS h ON h.inhparent = t.oid
    UNION ALL SELECT t.oid, 'ALTER ' || t.spelled || ' NO INHERIT ' || h.inhparent::regclass
        FROM relations AS t JOIN pg_inherits AS h ON h.inhrelid = t.oid
)
SELECT 'fault' AS part, fault AS subject, fix AS statement, '' AS described, rank FROM third_role_faults
UNION ALL
SELECT 'object', t.name, t.spelled, jsonb_build_object(
    'kind', t.kind,
    'security', CASE WHEN NOT t.relrowsecurity THEN 'off' WHEN t.relforcerowsecurity THEN 'forced' ELSE 'enabled' END,
    'policies', COALESCE((SELECT jsonb_object_agg(p.polname, ` + policyText + `) FROM pg_policy AS p WHERE p.polrelid = t.oid), '{}'),
    'grants', COALESCE((SELECT list FROM grants AS g WHERE g.oid = t.oid), '[]'),
    'attached', COALESCE((SELECT jsonb_agg(a.fix ORDER BY a.fix) FROM attached AS a WHERE a.oid = t.oid), '[]'))::text, 0
FROM relations AS t
UNION ALL
SELECT 'object', f.name, f.spelled, jsonb_build_object(
    'kind', f.kind,
    'definition', pg_get_functiondef(f.oid),
    'owner', CASE WHEN f.owner IN (SELECT oid FROM janitor) THEN 'lumen_janitor' ELSE '' END,
    'grants', COALESCE((SELECT list FROM grants AS g WHERE g.oid = f.oid), '[]'))::text, 0
FROM functions AS f
ORDER BY part, rank, subject`

// newerQuery is expectedQuery for a schema that is newer than this program, which does not have its
// expected description. Instead of objects it returns the faults that hold for every version. A tenant
// table is a table with a merchant_id on which lumen_app has a privilege.
const newerQuery = lumensObjects + thirdRoleFaults + `
tenants AS (
    SELECT r.* FROM relations AS r
    WHERE r.kind IN ('r', 'p')
      AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = r.oid AND a.attname = 'merchant_id' AND NOT a.attisdropped)
      AND EXISTS (SELECT FROM privileges AS p WHERE p.oid = r.oid AND p.grantee IN (SELECT oid FROM app))
),
policies AS (
    SELECT p.polname, t.name, t.oid IN (SELECT oid FROM tenants) AS tenant, p.polpermissive AS permissive,
        'DROP POLICY ' || quote_ident(p.polname) || ' ON ' || substr(t.spelled, 7) || ';' AS fix,
        pg_get_expr(p.polqual, p.polrelid) AS qual, pg_get_expr(p.polwithcheck, p.polrelid) AS with_check,
        ARRAY(SELECT COALESCE(r.rolname::text, 'PUBLIC') FROM unnest(p.polroles) AS u (oid) LEFT JOIN pg_roles AS r ON r.oid = u.oid) AS roles
    FROM pg_policy AS p JOIN relations AS t ON t.oid = p.polrelid
)
SELECT 'fault' AS part, fault AS subject, fix AS statement, '' AS described, rank FROM (
    SELECT rank, fault, fix FROM third_role_faults
    UNION ALL
    SELECT 6, 'row-level security is not enabled and forced on table ' || t.name,
        'ALTER ' || t.spelled || ' ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;'
    FROM tenants AS t WHERE NOT (t.relrowsecurity AND t.relforcerowsecurity)
    UNION ALL
    SELECT 6, 'policy ' || polname || ' on table ' || name || ' is for other roles than lumen_app and lumen_janitor', fix
    FROM policies WHERE NOT roles <@ ARRAY['lumen_app', 'lumen_janitor']
    UNION ALL
    SELECT 6, 'policy ' || polname || ' on table ' || name || ' does not ask for the merchant', fix
    FROM policies
    WHERE tenant AND permissive AND 'lumen_app' = ANY(roles)
      AND NOT (COALESCE(qual, with_check) LIKE '%lumen.merchant\_id%' AND COALESCE(with_check, qual) LIKE '%lumen.merchant\_id%')
) AS found
ORDER BY rank, subject`

// warningsQuery returns warnings: the logins that can bypass Lumen's privileges or row-level
// security through an attribute or a membership, and the roles that may create objects in Lumen's
// schema. Each has the SQL that corrects it, or "" if there is none. The cluster's first superuser
// is left out, because every cluster has it.
const warningsQuery = lumensObjects + `
powers AS (
    SELECT u.rolname, min(CASE WHEN p.rolsuper THEN 1 WHEN p.rolbypassrls THEN 2 WHEN p.rolreplication THEN 3 WHEN p.rolcreaterole THEN 4 ELSE 5 END) AS kind
    FROM pg_roles AS u JOIN pg_roles AS p ON pg_has_role(u.oid, p.oid, 'MEMBER')
    WHERE u.rolcanlogin AND u.oid <> 10 AND u.oid <> ALL (SELECT oid FROM owner)
      AND (p.rolsuper OR p.rolbypassrls OR p.rolreplication OR p.rolname::text = ANY('` + predefinedRoles + `')
           OR p.rolcreaterole AND current_setting('server_version_num')::int < 160000)
    GROUP BY u.rolname
),
-- The owner of the schema, who may drop everything in it. By default that is the owner of the database.
holders AS (
    SELECT r.rolname, CASE s.rolname WHEN 'pg_database_owner' THEN 'ALTER DATABASE ' || quote_ident(d.datname) ELSE 'ALTER SCHEMA public' END AS alter
    FROM pg_namespace AS n JOIN pg_roles AS s ON s.oid = n.nspowner JOIN pg_database AS d ON d.datname = current_database()
    JOIN pg_roles AS r ON r.oid = CASE s.rolname WHEN 'pg_database_owner' THEN d.datdba ELSE n.nspowner END
    WHERE n.nspname = 'public' AND NOT r.rolsuper AND r.oid <> ALL (SELECT oid FROM owner)
)
SELECT fault, fix FROM (
    SELECT 'role ' || quote_ident(rolname) || CASE kind
        WHEN 1 THEN ' is or may become a superuser, to which no privilege and no policy applies'
        WHEN 2 THEN ' has or may get BYPASSRLS: row-level security does not apply to it'
        WHEN 3 THEN ' has or may get REPLICATION: it may copy everything'
        WHEN 4 THEN ' has or may get CREATEROLE: it may make itself a member of the owner'
        ELSE ' is a member of a predefined role that reads or writes without privileges' END AS fault, '' AS fix
    FROM powers
    UNION ALL
    SELECT 'role ' || quote_ident(rolname) || ' may drop everything in the schema public', alter || ' OWNER TO ' || quote_ident(owner.name) || ';'
    FROM holders, owner
    UNION ALL
    SELECT 'role ' || quote_ident(r.rolname) || ' has privileges on ' || p.name, 'REVOKE ALL ON ' || p.spelled || ' FROM ' || quote_ident(r.rolname) || ';'
    FROM privileges AS p JOIN pg_roles AS r ON r.oid = p.grantee AND r.rolname::text LIKE 'pg\_%'
    UNION ALL
    SELECT CASE x.grantee WHEN 0 THEN 'every role' ELSE 'role ' || quote_ident(r.rolname) END || ' may create tables and functions in the schema public',
        'REVOKE CREATE ON SCHEMA public FROM ' || COALESCE(quote_ident(r.rolname), 'PUBLIC') || ';'
    FROM pg_namespace AS n, aclexplode(n.nspacl) AS x LEFT JOIN pg_roles AS r ON r.oid = x.grantee
    WHERE n.nspname = 'public' AND x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner
      AND x.grantee <> ALL (SELECT oid FROM owner) AND (r.oid IS NULL OR NOT r.rolsuper AND r.rolname::text NOT LIKE 'pg\_%')
) AS found
ORDER BY fault`

// predefinedRoles are the Postgres roles whose members read or write without privileges.
const predefinedRoles = `{pg_read_all_data,pg_write_all_data,pg_read_server_files,pg_write_server_files,pg_execute_server_program,pg_maintain}`
