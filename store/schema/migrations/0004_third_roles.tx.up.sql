-- Hosted platforms give roles of their own privileges on every new table, by default. Each migration takes
-- such privileges away again. This is the second line: whoever holds one all the same sees no rows here.
--
-- Not forced, unlike on customers: the owner, and the owner's functions that lumen_app calls, need these rows.
ALTER TABLE merchants ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE token_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE lumen_migrations ENABLE ROW LEVEL SECURITY;

-- The service reads which migrations were applied.
CREATE POLICY lumen_migrations_read ON lumen_migrations FOR SELECT TO lumen_app USING (true);
