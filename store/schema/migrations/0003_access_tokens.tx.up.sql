-- Access tokens: the keys that sign them, and the policy for a token that is bound to one customer.
-- lumen_app has no privilege on the keys. It calls the three functions below, which run as the
-- owner.

-- The private key is encrypted with a secret that the database never sees.
CREATE TABLE token_keys (
    id          text COLLATE "C" PRIMARY KEY,
    public_key  bytea NOT NULL CHECK (octet_length(public_key) = 32),
    private_key bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
    signs_from  timestamptz NOT NULL,
    revoked_at  timestamptz
);

-- The keys that verify tokens, in the order in which they sign. A key that has a successor verifies
-- for 65 minutes more: the last token that it signed lives for at most an hour, and the rest is a
-- margin. Then it is retired, and stays so even if the successor is revoked. A key that will sign
-- later is included, so that services which keep a copy of the keys have it in time.
CREATE FUNCTION lumen_token_keys()
RETURNS TABLE (key_id text, public_key bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH settled AS (
        SELECT t.signs_from, t.id FROM public.token_keys AS t
        WHERE LEAST(t.revoked_at, clock_timestamp()) >= t.signs_from + interval '65 minutes'
        ORDER BY t.signs_from DESC, t.id DESC
        LIMIT 1
    )
    SELECT t.id, t.public_key
    FROM public.token_keys AS t
    WHERE t.revoked_at IS NULL
      AND NOT EXISTS (SELECT FROM settled WHERE (settled.signs_from, settled.id) > (t.signs_from, t.id))
    ORDER BY t.signs_from, t.id
$$;

-- The key that signs now, which is the one that began to sign last, and the time when the API key
-- that mints the token expires.
CREATE FUNCTION lumen_token_signer(merchant text, key text)
RETURNS TABLE (key_id text, private_key bytea, now timestamptz, api_key_expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.id, t.private_key, clock_timestamp(),
           (SELECT k.expires_at FROM public.api_keys AS k WHERE k.merchant_id = merchant AND k.id = key)
    FROM public.token_keys AS t
    JOIN public.lumen_token_keys() AS live ON live.key_id = t.id
    WHERE t.signs_from <= clock_timestamp()
    ORDER BY t.signs_from DESC, t.id DESC
    LIMIT 1
$$;

-- What a token is checked with. Without a row the token is refused: its signing key no longer
-- verifies, or the API key that minted it or the merchant is no longer good.
CREATE FUNCTION lumen_authenticate_token(signing_key text, merchant text, key text)
RETURNS TABLE (public_key bytea, merchant_name text, now timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.public_key, m.name, clock_timestamp()
    FROM public.lumen_token_keys() AS t, public.api_keys AS k
    JOIN public.merchants AS m ON m.id = k.merchant_id
    WHERE t.key_id = signing_key
      AND k.merchant_id = merchant AND k.id = key
      AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
      AND m.disabled_at IS NULL
$$;

REVOKE ALL ON token_keys FROM PUBLIC;
REVOKE ALL ON FUNCTION lumen_token_signer(text, text), lumen_token_keys(), lumen_authenticate_token(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lumen_token_signer(text, text), lumen_token_keys(), lumen_authenticate_token(text, text, text) TO lumen_app;

-- A caller who is bound to one customer sees no other (I1). The sub-select is uncorrelated, so
-- Postgres evaluates it once in a statement. The test for null is for the planner: without it, the
-- planner would estimate that the policy hides nearly every row, and would sort rows that it can
-- read in order.
CREATE POLICY customers_bound ON customers AS RESTRICTIVE TO lumen_app
    USING ((CASE (SELECT COALESCE(current_setting('lumen.customer_id', true), ''))
            WHEN '' THEN true WHEN id THEN true END) IS NOT NULL);
