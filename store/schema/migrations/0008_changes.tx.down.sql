DROP FUNCTION lumen_make_head(text), lumen_new_epoch(), lumen_prune_changes(text, timestamptz, bigint), lumen_heads(text[]);
DROP TABLE changes;
DROP TABLE merchant_heads;

DROP FUNCTION lumen_authenticate(bytea);
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

DROP FUNCTION lumen_authenticate_token(text, text, text);
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

REVOKE ALL ON FUNCTION lumen_authenticate(bytea), lumen_authenticate_token(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lumen_authenticate(bytea), lumen_authenticate_token(text, text, text) TO lumen_app;
