REVOKE SELECT ON lumen_migrations FROM lumen_app;
DROP FUNCTION lumen_key_used(text, text);
DROP FUNCTION lumen_authenticate(bytea);
DROP TABLE api_keys;
DROP TABLE merchants;
