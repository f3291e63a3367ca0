-- Hosted platforms by default grant privileges on every new table to roles of their own. Each
-- migration revokes such privileges. This is the second guard: a role that has one nevertheless
-- sees no rows here.
--
-- It is not forced, unlike on customers, because the owner, and the owner's functions that
-- lumen_app calls, need these rows.
ALTER TABLE merchants ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE token_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE lumen_migrations ENABLE ROW LEVEL SECURITY;

-- Lets the service read which migrations were applied.
CREATE POLICY lumen_migrations_read ON lumen_migrations FOR SELECT TO lumen_app USING (true);
