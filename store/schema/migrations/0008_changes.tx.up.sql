-- The log of changes. Each write of a merchant's row adds one change, in the statement of the write.
-- A merchant's changes are numbered without gaps, in the order of their commits.

-- The number of each merchant's last change, which the statement of a write counts up at its end. A
-- row that is updated all the time needs free space on its page.
--
-- Changes have a foreign key neither to heads nor to merchants, because it would lock the referenced
-- row with each change.
CREATE TABLE merchant_heads (
    merchant_id text COLLATE "C" PRIMARY KEY REFERENCES merchants (id),
    -- Numbers of another epoch do not count, because they may come again: after a restored backup.
    epoch       bigint NOT NULL,
    sequence    bigint NOT NULL DEFAULT 0,
    -- The last change that was pruned.
    floor       bigint NOT NULL DEFAULT 0,
    CHECK (0 <= floor AND floor <= sequence)
) WITH (fillfactor = 20);

CREATE TABLE changes (
    merchant_id text COLLATE "C" NOT NULL,
    sequence    bigint NOT NULL,
    entity      text COLLATE "C" NOT NULL,
    entity_id   text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C",
    version     bigint NOT NULL,
    type        text COLLATE "C" NOT NULL,
    at          timestamptz NOT NULL,
    actor_kind  text COLLATE "C" NOT NULL,
    actor_id    text COLLATE "C",
    actor_name  text,
    request_id  text COLLATE "C",
    reason      text,
    -- The documented fields after the change, without those that are null.
    data        jsonb NOT NULL,
    -- The fields that changed, before the change. Null for a new row.
    previous    jsonb,
    PRIMARY KEY (merchant_id, sequence)
);

CREATE INDEX changes_customer ON changes (merchant_id, customer_id, sequence);

ALTER TABLE merchant_heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE merchant_heads FORCE ROW LEVEL SECURITY;
ALTER TABLE changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE changes FORCE ROW LEVEL SECURITY;

CREATE POLICY merchant_heads_wall ON merchant_heads TO lumen_app
    USING (merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''))
    WITH CHECK (merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''));
CREATE POLICY changes_wall ON changes TO lumen_app
    USING (merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''))
    WITH CHECK (merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''));
-- See customers_bound. A bound caller counts up the merchant's head, so that has no such policy. No
-- reply to a bound caller shows it.
CREATE POLICY changes_bound ON changes AS RESTRICTIVE TO lumen_app
    USING ((CASE (SELECT COALESCE(current_setting('lumen.customer_id', true), ''))
            WHEN '' THEN true WHEN customer_id THEN true END) IS NOT NULL);

-- Changes can only be added.
REVOKE ALL ON merchant_heads, changes FROM PUBLIC;
GRANT SELECT, UPDATE (sequence) ON merchant_heads TO lumen_app;
GRANT SELECT, INSERT ON changes TO lumen_app;

-- Work for all merchants. Row-level security is forced, so without policies of its own this work
-- would see no rows, without an error. lumen_janitor may do exactly what its functions do. It sees
-- ids, numbers and times, and no data. The owner is a member of it, and the policies do not apply to
-- members.
CREATE POLICY merchant_heads_janitor ON merchant_heads TO lumen_janitor
    USING (current_user = 'lumen_janitor') WITH CHECK (current_user = 'lumen_janitor');
CREATE POLICY changes_janitor_read ON changes FOR SELECT TO lumen_janitor USING (current_user = 'lumen_janitor');
CREATE POLICY changes_janitor_prune ON changes FOR DELETE TO lumen_janitor USING (current_user = 'lumen_janitor');
GRANT SELECT, INSERT (merchant_id, epoch), UPDATE (epoch, floor) ON merchant_heads TO lumen_janitor;
GRANT SELECT (merchant_id, sequence, at), DELETE ON changes TO lumen_janitor;

-- Gives a merchant its head, unless it has one. A merchant without a head cannot be written to.
CREATE FUNCTION lumen_make_head(merchant text)
RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO public.merchant_heads (merchant_id, epoch)
    VALUES (merchant, hashtextextended(gen_random_uuid()::text, 0))
    ON CONFLICT (merchant_id) DO NOTHING;
END
$$;

-- Gives every merchant a new epoch, so that cursors of the old one expire. Returns the number of
-- merchants.
CREATE FUNCTION lumen_new_epoch()
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    renewed bigint;
BEGIN
    UPDATE public.merchant_heads SET epoch = hashtextextended(gen_random_uuid()::text, 0);
    GET DIAGNOSTICS renewed = ROW_COUNT;
    RETURN renewed;
END
$$;

-- Deletes the merchant's oldest changes, at most this number of them, up to the first one that is not
-- before the time. Returns how many it deleted. The head is locked last, for the commit alone.
CREATE FUNCTION lumen_prune_changes(merchant text, before timestamptz, at_most bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    first  bigint; -- the oldest change
    beyond bigint; -- the first one to keep
    deleted bigint;
BEGIN
    SELECT h.floor + 1, LEAST(h.floor + at_most, h.sequence) + 1 INTO first, beyond
    FROM public.merchant_heads AS h WHERE h.merchant_id = merchant;
    SELECT COALESCE(min(c.sequence), beyond) INTO beyond
    FROM public.changes AS c
    WHERE c.merchant_id = merchant AND c.sequence >= first AND c.sequence < beyond AND c.at >= before;
    IF beyond IS NULL OR beyond = first THEN
        RETURN 0;
    END IF;
    DELETE FROM public.changes AS c
    WHERE c.merchant_id = merchant AND c.sequence >= first AND c.sequence < beyond;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    UPDATE public.merchant_heads AS h SET floor = GREATEST(h.floor, beyond - 1) WHERE h.merchant_id = merchant;
    RETURN deleted;
END
$$;

-- The heads of these merchants, for requests that wait for changes.
CREATE FUNCTION lumen_heads(merchants text[])
RETURNS TABLE (merchant_id text, epoch bigint, sequence bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT h.merchant_id, h.epoch, h.sequence FROM public.merchant_heads AS h WHERE h.merchant_id = ANY (merchants)
$$;

REVOKE ALL ON FUNCTION lumen_make_head(text), lumen_new_epoch(), lumen_prune_changes(text, timestamptz, bigint),
    lumen_heads(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lumen_heads(text[]) TO lumen_app;

-- The owner of a function may create objects in its schema when it becomes the owner.
DO $$
DECLARE
    may_create boolean := has_schema_privilege('lumen_janitor', 'public', 'CREATE');
BEGIN
    IF NOT may_create THEN
        GRANT CREATE ON SCHEMA public TO lumen_janitor;
    END IF;
    ALTER FUNCTION lumen_make_head(text) OWNER TO lumen_janitor;
    ALTER FUNCTION lumen_new_epoch() OWNER TO lumen_janitor;
    ALTER FUNCTION lumen_prune_changes(text, timestamptz, bigint) OWNER TO lumen_janitor;
    ALTER FUNCTION lumen_heads(text[]) OWNER TO lumen_janitor;
    IF NOT may_create THEN
        REVOKE CREATE ON SCHEMA public FROM lumen_janitor;
    END IF;
END
$$;

SELECT lumen_make_head(id) FROM merchants;

-- A change names the API key of the request that made it, so the functions that look up credentials
-- return the key's name, too.
DROP FUNCTION lumen_authenticate(bytea);
CREATE FUNCTION lumen_authenticate(presented bytea)
RETURNS TABLE (key_id text, key_name text, access text, merchant_id text, merchant_name text, used_lately boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.id, k.name, k.access, m.id, m.name,
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
RETURNS TABLE (public_key bytea, key_name text, merchant_name text, now timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.public_key, k.name, m.name, clock_timestamp()
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
