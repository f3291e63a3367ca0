-- Merchants and their API keys. lumen_app, the role of the running service, has no privilege on
-- either table. It calls the two functions below, which run as the owner.

CREATE TABLE merchants (
    id          text COLLATE "C" PRIMARY KEY,
    name        text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
    disabled_at timestamptz
);

CREATE TABLE api_keys (
    merchant_id  text COLLATE "C" NOT NULL REFERENCES merchants (id),
    id           text COLLATE "C" NOT NULL,
    name         text,
    digest       bytea NOT NULL CHECK (octet_length(digest) = 32),
    access       text NOT NULL CHECK (access IN ('read', 'write')),
    created_at   timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp()),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    PRIMARY KEY (merchant_id, id)
);

-- Not unique, because every unique index begins with merchant_id. Two keys of 256 random bits do
-- not have the same digest.
CREATE INDEX api_keys_digest ON api_keys (digest);

CREATE FUNCTION lumen_authenticate(presented bytea)
RETURNS TABLE (key_id text, access text, merchant_id text, merchant_name text, used_lately boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.id, k.access, m.id, m.name,
           COALESCE(k.last_used_at > clock_timestamp() - interval '1 hour', false)
    FROM public.api_keys AS k
    JOIN public.merchants AS m ON m.id = k.merchant_id
    WHERE k.digest = presented
      AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
      AND m.disabled_at IS NULL
$$;

CREATE FUNCTION lumen_key_used(merchant text, key text)
RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE public.api_keys
    SET last_used_at = date_trunc('milliseconds', clock_timestamp())
    WHERE merchant_id = merchant AND id = key
      AND (last_used_at IS NULL OR last_used_at <= clock_timestamp() - interval '1 hour')
$$;

REVOKE ALL ON merchants, api_keys FROM PUBLIC;
REVOKE ALL ON FUNCTION lumen_authenticate(bytea), lumen_key_used(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lumen_authenticate(bytea), lumen_key_used(text, text) TO lumen_app;

-- Lets serve check whether migrations are pending.
GRANT SELECT ON lumen_migrations TO lumen_app;
