-- Access tokens: the keys that sign them, and the customer that a token may be bound to. lumen_app may not touch the
-- keys: it asks the three functions below, which belong to the owner.

-- The private key is sealed with a secret that the database never sees.
CREATE TABLE token_keys (
    id          text COLLATE "C" PRIMARY KEY,
    public_key  bytea NOT NULL CHECK (octet_length(public_key) = 32),
    private_key bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
    signs_from  timestamptz NOT NULL,
    revoked_at  timestamptz
);

-- The keys that verify, in the order in which they sign. One that has a successor does so for as long as the last token
-- that it signed can live, which is an hour, and for a margin; then it is retired for good, even if the successor is revoked.
-- One that will sign is among them, so that those who keep a copy have it in time.
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

-- The key that signs now, the last that began to, and when the API key that asks for a token ends.
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

-- What a presented token is checked with: nothing, unless its signing key verifies and the API key that minted it lives.
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

-- Who is bound to one customer has no other (I1). The sub-select is uncorrelated, and so evaluated once in a statement. The
-- test for null is for the planner, which would else take nearly every row for one that the policy hides, and sort what it
-- can read in order.
CREATE POLICY customers_bound ON customers AS RESTRICTIVE TO lumen_app
    USING ((CASE (SELECT COALESCE(current_setting('lumen.customer_id', true), ''))
            WHEN '' THEN true WHEN id THEN true END) IS NOT NULL);
