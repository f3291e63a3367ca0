-- One statement of each shape, as it is sent. go test ./store -run TestStatements -update writes this file.

-- get
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3);

-- get many
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = ANY($3));

-- create
WITH "new" AS (INSERT INTO "public"."customers" ("merchant_id", "id", "created_at", "updated_at", "email", "name", "user_id", "billing_address_line1", "billing_address_line2", "billing_city", "billing_postal_code", "billing_country", "tax_id", "email_key", "name_sort", "name_key", "email_shared", "search_key")
SELECT "merchant_id", "id", "created_at", "updated_at", "email", "name", "user_id", "billing_address_line1", "billing_address_line2", "billing_city", "billing_postal_code", "billing_country", "tax_id", "email_key", "name_sort", "name_key", "email_shared", "search_key"
FROM (SELECT $1 AS merchant_id, $3 AS id, clock.now AS created_at, clock.now AS updated_at, $9::text AS "email", $10::text AS "name", $11::text AS "user_id", $12::text AS "billing_address_line1", $13::text AS "billing_address_line2", $14::text AS "billing_city", $15::text AS "billing_postal_code", $16::text AS "billing_country", $17::text AS "tax_id", $18::text AS "email_key", $19::bytea AS "name_sort", $20::text AS "name_key", $24::bool AS "email_shared", $21::text || E'\n' || $22::text || E'\n' || $23::text AS "search_key"
FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS now) AS clock
WHERE (($2::text = '' OR $3 = $2::text))
  AND ($24::bool OR NOT EXISTS (SELECT 1
FROM public.customers AS holder
WHERE (holder.merchant_id = $1
  AND ($2::text = '' OR holder.id = $2::text))
  AND (holder.deleted_at IS NULL)
  AND (holder.email_key = $18::text)))) AS fresh
RETURNING id, email, name, user_id, billing_address_line1, billing_address_line2, billing_city, billing_postal_code, billing_country, tax_id, merchant_id, created_at, updated_at, deleted_at, email_shared, email_key, name_sort, version), "head" AS (UPDATE public.merchant_heads AS h
SET sequence = h.sequence + 1
FROM new
WHERE (h.merchant_id = $1)
  AND (new.id IS NOT NULL)
RETURNING h.epoch, h.sequence), "log" AS (INSERT INTO public.changes AS x ("merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data")
SELECT "merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data"
FROM (SELECT a.merchant_id AS "merchant_id", head.sequence AS "sequence", 'customer' AS "entity", new.id AS "entity_id", new.id AS "customer_id", new.version AS "version", 'customer.created' AS "type", new.updated_at AS "at", $4::text AS "actor_kind", $5::text AS "actor_id", $6::text AS "actor_name", $7::text AS "request_id", $8::text AS "reason", jsonb_strip_nulls(jsonb_build_object('id', new.id, 'email', new.email, 'name', new.name, 'userId', new.user_id, 'billingAddressLine1', new.billing_address_line1, 'billingAddressLine2', new.billing_address_line2, 'billingCity', new.billing_city, 'billingPostalCode', new.billing_postal_code, 'billingCountry', new.billing_country, 'taxId', new.tax_id, 'merchantId', new.merchant_id, 'createdAt', to_char(new.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'updatedAt', to_char(new.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'deletedAt', to_char(new.deleted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'emailShared', new.email_shared)) AS "data"
FROM public.merchant_heads AS a, new, head
WHERE (a.merchant_id = $1)) AS fresh
RETURNING x.sequence)
SELECT COALESCE(head.epoch, 0) AS epoch, CASE WHEN new.id IS NOT NULL THEN COALESCE(log.sequence::text, 'the merchant has no head')::int8 ELSE 0 END AS sequence, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM new LEFT JOIN head ON true LEFT JOIN log ON true;

-- update the email
WITH "old" AS (SELECT "c"."version", "c"."email", "c"."email_shared", "c"."updated_at"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET "email" = $10::text, search_key = $12::text || E'\n' || split_part(c.search_key, E'\n', 2) || E'\n' || split_part(c.search_key, E'\n', 3), email_key = CASE WHEN c.email = $10::text THEN c.email_key ELSE $11::text END, email_shared = CASE WHEN (c.email_key <> $11::text
  AND c.email <> $10::text) THEN $13::bool ELSE c.email_shared END, (updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) ELSE c.updated_at END, c.version + t.changed::int
FROM (SELECT false OR c.email IS DISTINCT
FROM $10::text AS changed) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($9::int8[] IS NULL OR old.version = ANY($9))
  AND (NOT ((c.email_key <> $11::text
  AND c.email <> $10::text)) OR $13::bool OR NOT EXISTS (SELECT 1
FROM public.customers AS holder
WHERE (holder.merchant_id = $1
  AND ($2::text = '' OR holder.id = $2::text))
  AND (holder.deleted_at IS NULL)
  AND (holder.email_key = $11::text)
  AND (holder.id <> c.id)))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version), "head" AS (UPDATE public.merchant_heads AS h
SET sequence = h.sequence + 1
FROM old, new
WHERE (h.merchant_id = $1)
  AND (new.version > old.version)
RETURNING h.epoch, h.sequence), "log" AS (INSERT INTO public.changes AS x ("merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous")
SELECT "merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous"
FROM (SELECT a.merchant_id AS "merchant_id", head.sequence AS "sequence", 'customer' AS "entity", new.id AS "entity_id", new.id AS "customer_id", new.version AS "version", 'customer.updated' AS "type", new.updated_at AS "at", $4::text AS "actor_kind", $5::text AS "actor_id", $6::text AS "actor_name", $7::text AS "request_id", $8::text AS "reason", jsonb_strip_nulls(jsonb_build_object('id', new.id, 'email', new.email, 'name', new.name, 'userId', new.user_id, 'billingAddressLine1', new.billing_address_line1, 'billingAddressLine2', new.billing_address_line2, 'billingCity', new.billing_city, 'billingPostalCode', new.billing_postal_code, 'billingCountry', new.billing_country, 'taxId', new.tax_id, 'merchantId', new.merchant_id, 'createdAt', to_char(new.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'updatedAt', to_char(new.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'deletedAt', to_char(new.deleted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'emailShared', new.email_shared)) AS "data", jsonb_build_object('updatedAt', to_char(old.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) || CASE WHEN old.email IS DISTINCT
FROM new.email THEN jsonb_build_object('email', old.email) ELSE '{}' END || CASE WHEN old.email_shared IS DISTINCT
FROM new.email_shared THEN jsonb_build_object('emailShared', old.email_shared) ELSE '{}' END AS "previous"
FROM public.merchant_heads AS a, old, new, head
WHERE (a.merchant_id = $1)) AS fresh
RETURNING x.sequence)
SELECT old.version, new.id IS NOT NULL AS updated, COALESCE(head.epoch, 0) AS epoch, CASE WHEN new.version > old.version THEN COALESCE(log.sequence::text, 'the merchant has no head')::int8 ELSE 0 END AS sequence, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true LEFT JOIN head ON true LEFT JOIN log ON true;

-- update the name
WITH "old" AS (SELECT "c"."version", "c"."name", "c"."updated_at"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET "name" = $10::text, search_key = split_part(c.search_key, E'\n', 1) || E'\n' || $13::text || E'\n' || split_part(c.search_key, E'\n', 3), name_sort = $11::bytea, name_key = $12::text, (updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) ELSE c.updated_at END, c.version + t.changed::int
FROM (SELECT false OR c.name IS DISTINCT
FROM $10::text AS changed) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($9::int8[] IS NULL OR old.version = ANY($9))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version), "head" AS (UPDATE public.merchant_heads AS h
SET sequence = h.sequence + 1
FROM old, new
WHERE (h.merchant_id = $1)
  AND (new.version > old.version)
RETURNING h.epoch, h.sequence), "log" AS (INSERT INTO public.changes AS x ("merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous")
SELECT "merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous"
FROM (SELECT a.merchant_id AS "merchant_id", head.sequence AS "sequence", 'customer' AS "entity", new.id AS "entity_id", new.id AS "customer_id", new.version AS "version", 'customer.updated' AS "type", new.updated_at AS "at", $4::text AS "actor_kind", $5::text AS "actor_id", $6::text AS "actor_name", $7::text AS "request_id", $8::text AS "reason", jsonb_strip_nulls(jsonb_build_object('id', new.id, 'email', new.email, 'name', new.name, 'userId', new.user_id, 'billingAddressLine1', new.billing_address_line1, 'billingAddressLine2', new.billing_address_line2, 'billingCity', new.billing_city, 'billingPostalCode', new.billing_postal_code, 'billingCountry', new.billing_country, 'taxId', new.tax_id, 'merchantId', new.merchant_id, 'createdAt', to_char(new.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'updatedAt', to_char(new.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'deletedAt', to_char(new.deleted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'emailShared', new.email_shared)) AS "data", jsonb_build_object('updatedAt', to_char(old.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) || CASE WHEN old.name IS DISTINCT
FROM new.name THEN jsonb_build_object('name', old.name) ELSE '{}' END AS "previous"
FROM public.merchant_heads AS a, old, new, head
WHERE (a.merchant_id = $1)) AS fresh
RETURNING x.sequence)
SELECT old.version, new.id IS NOT NULL AS updated, COALESCE(head.epoch, 0) AS epoch, CASE WHEN new.version > old.version THEN COALESCE(log.sequence::text, 'the merchant has no head')::int8 ELSE 0 END AS sequence, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true LEFT JOIN head ON true LEFT JOIN log ON true;

-- update the user id
WITH "old" AS (SELECT "c"."version", "c"."user_id", "c"."updated_at"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET "user_id" = $10::text, search_key = split_part(c.search_key, E'\n', 1) || E'\n' || split_part(c.search_key, E'\n', 2) || E'\n' || $11::text, (updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) ELSE c.updated_at END, c.version + t.changed::int
FROM (SELECT false OR c.user_id IS DISTINCT
FROM $10::text AS changed) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($9::int8[] IS NULL OR old.version = ANY($9))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version), "head" AS (UPDATE public.merchant_heads AS h
SET sequence = h.sequence + 1
FROM old, new
WHERE (h.merchant_id = $1)
  AND (new.version > old.version)
RETURNING h.epoch, h.sequence), "log" AS (INSERT INTO public.changes AS x ("merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous")
SELECT "merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous"
FROM (SELECT a.merchant_id AS "merchant_id", head.sequence AS "sequence", 'customer' AS "entity", new.id AS "entity_id", new.id AS "customer_id", new.version AS "version", 'customer.updated' AS "type", new.updated_at AS "at", $4::text AS "actor_kind", $5::text AS "actor_id", $6::text AS "actor_name", $7::text AS "request_id", $8::text AS "reason", jsonb_strip_nulls(jsonb_build_object('id', new.id, 'email', new.email, 'name', new.name, 'userId', new.user_id, 'billingAddressLine1', new.billing_address_line1, 'billingAddressLine2', new.billing_address_line2, 'billingCity', new.billing_city, 'billingPostalCode', new.billing_postal_code, 'billingCountry', new.billing_country, 'taxId', new.tax_id, 'merchantId', new.merchant_id, 'createdAt', to_char(new.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'updatedAt', to_char(new.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'deletedAt', to_char(new.deleted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'emailShared', new.email_shared)) AS "data", jsonb_build_object('updatedAt', to_char(old.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) || CASE WHEN old.user_id IS DISTINCT
FROM new.user_id THEN jsonb_build_object('userId', old.user_id) ELSE '{}' END AS "previous"
FROM public.merchant_heads AS a, old, new, head
WHERE (a.merchant_id = $1)) AS fresh
RETURNING x.sequence)
SELECT old.version, new.id IS NOT NULL AS updated, COALESCE(head.epoch, 0) AS epoch, CASE WHEN new.version > old.version THEN COALESCE(log.sequence::text, 'the merchant has no head')::int8 ELSE 0 END AS sequence, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true LEFT JOIN head ON true LEFT JOIN log ON true;

-- update the city
WITH "old" AS (SELECT "c"."version", "c"."billing_city", "c"."updated_at"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET "billing_city" = $10::text, (updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) ELSE c.updated_at END, c.version + t.changed::int
FROM (SELECT false OR c.billing_city IS DISTINCT
FROM $10::text AS changed) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($9::int8[] IS NULL OR old.version = ANY($9))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version), "head" AS (UPDATE public.merchant_heads AS h
SET sequence = h.sequence + 1
FROM old, new
WHERE (h.merchant_id = $1)
  AND (new.version > old.version)
RETURNING h.epoch, h.sequence), "log" AS (INSERT INTO public.changes AS x ("merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous")
SELECT "merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous"
FROM (SELECT a.merchant_id AS "merchant_id", head.sequence AS "sequence", 'customer' AS "entity", new.id AS "entity_id", new.id AS "customer_id", new.version AS "version", 'customer.updated' AS "type", new.updated_at AS "at", $4::text AS "actor_kind", $5::text AS "actor_id", $6::text AS "actor_name", $7::text AS "request_id", $8::text AS "reason", jsonb_strip_nulls(jsonb_build_object('id', new.id, 'email', new.email, 'name', new.name, 'userId', new.user_id, 'billingAddressLine1', new.billing_address_line1, 'billingAddressLine2', new.billing_address_line2, 'billingCity', new.billing_city, 'billingPostalCode', new.billing_postal_code, 'billingCountry', new.billing_country, 'taxId', new.tax_id, 'merchantId', new.merchant_id, 'createdAt', to_char(new.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'updatedAt', to_char(new.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'deletedAt', to_char(new.deleted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'emailShared', new.email_shared)) AS "data", jsonb_build_object('updatedAt', to_char(old.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) || CASE WHEN old.billing_city IS DISTINCT
FROM new.billing_city THEN jsonb_build_object('billingCity', old.billing_city) ELSE '{}' END AS "previous"
FROM public.merchant_heads AS a, old, new, head
WHERE (a.merchant_id = $1)) AS fresh
RETURNING x.sequence)
SELECT old.version, new.id IS NOT NULL AS updated, COALESCE(head.epoch, 0) AS epoch, CASE WHEN new.version > old.version THEN COALESCE(log.sequence::text, 'the merchant has no head')::int8 ELSE 0 END AS sequence, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true LEFT JOIN head ON true LEFT JOIN log ON true;

-- update several fields
WITH "old" AS (SELECT "c"."version", "c"."email", "c"."name", "c"."user_id", "c"."tax_id", "c"."email_shared", "c"."updated_at"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET "email" = $10::text, "name" = $11::text, "user_id" = $12::text, "tax_id" = $13::text, search_key = $17::text || E'\n' || $18::text || E'\n' || $19::text, name_sort = $15::bytea, name_key = $16::text, email_key = CASE WHEN c.email = $10::text THEN c.email_key ELSE $14::text END, email_shared = CASE WHEN (c.email_key <> $14::text
  AND c.email <> $10::text) THEN $20::bool ELSE c.email_shared END, (updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) ELSE c.updated_at END, c.version + t.changed::int
FROM (SELECT false OR c.email IS DISTINCT
FROM $10::text OR c.name IS DISTINCT
FROM $11::text OR c.user_id IS DISTINCT
FROM $12::text OR c.tax_id IS DISTINCT
FROM $13::text AS changed) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($9::int8[] IS NULL OR old.version = ANY($9))
  AND (NOT ((c.email_key <> $14::text
  AND c.email <> $10::text)) OR $20::bool OR NOT EXISTS (SELECT 1
FROM public.customers AS holder
WHERE (holder.merchant_id = $1
  AND ($2::text = '' OR holder.id = $2::text))
  AND (holder.deleted_at IS NULL)
  AND (holder.email_key = $14::text)
  AND (holder.id <> c.id)))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version), "head" AS (UPDATE public.merchant_heads AS h
SET sequence = h.sequence + 1
FROM old, new
WHERE (h.merchant_id = $1)
  AND (new.version > old.version)
RETURNING h.epoch, h.sequence), "log" AS (INSERT INTO public.changes AS x ("merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous")
SELECT "merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous"
FROM (SELECT a.merchant_id AS "merchant_id", head.sequence AS "sequence", 'customer' AS "entity", new.id AS "entity_id", new.id AS "customer_id", new.version AS "version", 'customer.updated' AS "type", new.updated_at AS "at", $4::text AS "actor_kind", $5::text AS "actor_id", $6::text AS "actor_name", $7::text AS "request_id", $8::text AS "reason", jsonb_strip_nulls(jsonb_build_object('id', new.id, 'email', new.email, 'name', new.name, 'userId', new.user_id, 'billingAddressLine1', new.billing_address_line1, 'billingAddressLine2', new.billing_address_line2, 'billingCity', new.billing_city, 'billingPostalCode', new.billing_postal_code, 'billingCountry', new.billing_country, 'taxId', new.tax_id, 'merchantId', new.merchant_id, 'createdAt', to_char(new.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'updatedAt', to_char(new.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'deletedAt', to_char(new.deleted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'emailShared', new.email_shared)) AS "data", jsonb_build_object('updatedAt', to_char(old.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) || CASE WHEN old.email IS DISTINCT
FROM new.email THEN jsonb_build_object('email', old.email) ELSE '{}' END || CASE WHEN old.name IS DISTINCT
FROM new.name THEN jsonb_build_object('name', old.name) ELSE '{}' END || CASE WHEN old.user_id IS DISTINCT
FROM new.user_id THEN jsonb_build_object('userId', old.user_id) ELSE '{}' END || CASE WHEN old.tax_id IS DISTINCT
FROM new.tax_id THEN jsonb_build_object('taxId', old.tax_id) ELSE '{}' END || CASE WHEN old.email_shared IS DISTINCT
FROM new.email_shared THEN jsonb_build_object('emailShared', old.email_shared) ELSE '{}' END AS "previous"
FROM public.merchant_heads AS a, old, new, head
WHERE (a.merchant_id = $1)) AS fresh
RETURNING x.sequence)
SELECT old.version, new.id IS NOT NULL AS updated, COALESCE(head.epoch, 0) AS epoch, CASE WHEN new.version > old.version THEN COALESCE(log.sequence::text, 'the merchant has no head')::int8 ELSE 0 END AS sequence, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true LEFT JOIN head ON true LEFT JOIN log ON true;

-- update nothing
WITH "old" AS (SELECT "c"."version", "c"."updated_at"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET (updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) ELSE c.updated_at END, c.version + t.changed::int
FROM (SELECT false AS changed) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($9::int8[] IS NULL OR old.version = ANY($9))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version), "head" AS (UPDATE public.merchant_heads AS h
SET sequence = h.sequence + 1
FROM old, new
WHERE (h.merchant_id = $1)
  AND (new.version > old.version)
RETURNING h.epoch, h.sequence), "log" AS (INSERT INTO public.changes AS x ("merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous")
SELECT "merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous"
FROM (SELECT a.merchant_id AS "merchant_id", head.sequence AS "sequence", 'customer' AS "entity", new.id AS "entity_id", new.id AS "customer_id", new.version AS "version", 'customer.updated' AS "type", new.updated_at AS "at", $4::text AS "actor_kind", $5::text AS "actor_id", $6::text AS "actor_name", $7::text AS "request_id", $8::text AS "reason", jsonb_strip_nulls(jsonb_build_object('id', new.id, 'email', new.email, 'name', new.name, 'userId', new.user_id, 'billingAddressLine1', new.billing_address_line1, 'billingAddressLine2', new.billing_address_line2, 'billingCity', new.billing_city, 'billingPostalCode', new.billing_postal_code, 'billingCountry', new.billing_country, 'taxId', new.tax_id, 'merchantId', new.merchant_id, 'createdAt', to_char(new.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'updatedAt', to_char(new.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'deletedAt', to_char(new.deleted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'emailShared', new.email_shared)) AS "data", jsonb_build_object('updatedAt', to_char(old.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS "previous"
FROM public.merchant_heads AS a, old, new, head
WHERE (a.merchant_id = $1)) AS fresh
RETURNING x.sequence)
SELECT old.version, new.id IS NOT NULL AS updated, COALESCE(head.epoch, 0) AS epoch, CASE WHEN new.version > old.version THEN COALESCE(log.sequence::text, 'the merchant has no head')::int8 ELSE 0 END AS sequence, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true LEFT JOIN head ON true LEFT JOIN log ON true;

-- delete
WITH "old" AS (SELECT "c"."version", "c"."updated_at", "c"."deleted_at"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET (deleted_at, updated_at, version) = (SELECT t.now, t.now, c.version + 1
FROM (SELECT GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) AS now) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($9::int8[] IS NULL OR old.version = ANY($9))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version), "head" AS (UPDATE public.merchant_heads AS h
SET sequence = h.sequence + 1
FROM old, new
WHERE (h.merchant_id = $1)
  AND (new.version > old.version)
RETURNING h.epoch, h.sequence), "log" AS (INSERT INTO public.changes AS x ("merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous")
SELECT "merchant_id", "sequence", "entity", "entity_id", "customer_id", "version", "type", "at", "actor_kind", "actor_id", "actor_name", "request_id", "reason", "data", "previous"
FROM (SELECT a.merchant_id AS "merchant_id", head.sequence AS "sequence", 'customer' AS "entity", new.id AS "entity_id", new.id AS "customer_id", new.version AS "version", 'customer.deleted' AS "type", new.updated_at AS "at", $4::text AS "actor_kind", $5::text AS "actor_id", $6::text AS "actor_name", $7::text AS "request_id", $8::text AS "reason", jsonb_strip_nulls(jsonb_build_object('id', new.id, 'email', new.email, 'name', new.name, 'userId', new.user_id, 'billingAddressLine1', new.billing_address_line1, 'billingAddressLine2', new.billing_address_line2, 'billingCity', new.billing_city, 'billingPostalCode', new.billing_postal_code, 'billingCountry', new.billing_country, 'taxId', new.tax_id, 'merchantId', new.merchant_id, 'createdAt', to_char(new.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'updatedAt', to_char(new.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'deletedAt', to_char(new.deleted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'emailShared', new.email_shared)) AS "data", jsonb_build_object('updatedAt', to_char(old.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) || CASE WHEN old.deleted_at IS DISTINCT
FROM new.deleted_at THEN jsonb_build_object('deletedAt', to_char(old.deleted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) ELSE '{}' END AS "previous"
FROM public.merchant_heads AS a, old, new, head
WHERE (a.merchant_id = $1)) AS fresh
RETURNING x.sequence)
SELECT old.version, new.id IS NOT NULL AS updated, COALESCE(head.epoch, 0) AS epoch, CASE WHEN new.version > old.version THEN COALESCE(log.sequence::text, 'the merchant has no head')::int8 ELSE 0 END AS sequence, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true LEFT JOIN head ON true LEFT JOIN log ON true;

-- all
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
ORDER BY c.created_at DESC, c.id DESC LIMIT 501;

-- list with no filter
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
ORDER BY c.created_at DESC, c.id DESC LIMIT 51;

-- count with no filter
SELECT count(*)
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL);

-- list with an email
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND (c.email_key = 'ann@example.com')
ORDER BY c.created_at DESC, c.id DESC LIMIT 51;

-- count with an email
SELECT count(*)
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND (c.email_key = 'ann@example.com');

-- list with a user id
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND (c.user_id = 'u')
ORDER BY c.created_at DESC, c.id DESC LIMIT 51;

-- count with a user id
SELECT count(*)
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND (c.user_id = 'u');

-- list with a country
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND (c.billing_country = 'DE')
ORDER BY c.created_at DESC, c.id DESC LIMIT 51;

-- count with a country
SELECT count(*)
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND (c.billing_country = 'DE');

-- list with a search
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND (strpos(c.search_key, 'ann') > 0)
ORDER BY c.created_at DESC, c.id DESC LIMIT 51;

-- count with a search
SELECT count(*)
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND (strpos(c.search_key, 'ann') > 0);

-- list with a time of creation
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND (c.created_at >= '2026-01-02 03:04:05+00:00')
  AND (c.created_at < '2026-01-02 03:04:05+00:00')
ORDER BY c.created_at DESC, c.id DESC LIMIT 51;

-- count with a time of creation
SELECT count(*)
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND (c.created_at >= '2026-01-02 03:04:05+00:00')
  AND (c.created_at < '2026-01-02 03:04:05+00:00');

-- list with a time of change, deleted ones included
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.updated_at >= '2026-01-02 03:04:05+00:00')
ORDER BY c.created_at DESC, c.id DESC LIMIT 51;

-- count with a time of change, deleted ones included
SELECT count(*)
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.updated_at >= '2026-01-02 03:04:05+00:00');

-- list by CREATED_AT ASC, the last before a cursor
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.created_at, c.id) >= ($2::timestamptz, $3))
ORDER BY c.created_at ASC, c.id ASC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.created_at, c.id) < ($2::timestamptz, $3))
ORDER BY c.created_at DESC, c.id DESC LIMIT 11;

-- list by CREATED_AT ASC, the last before a cursor, statement 2
SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.created_at, c.id) >= ($2::timestamptz, $3))
ORDER BY c.created_at ASC, c.id ASC LIMIT 1;

-- list by CREATED_AT ASC, the first between cursors
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.created_at, c.id) <= ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
ORDER BY c.created_at DESC, c.id DESC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.created_at, c.id) > ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
  AND ((c.created_at, c.id) < ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
ORDER BY c.created_at ASC, c.id ASC LIMIT 8;

-- list by CREATED_AT ASC, the first between cursors, statement 3
SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.created_at, c.id) <= ($2::timestamptz, $3))
ORDER BY c.created_at DESC, c.id DESC LIMIT 1;

-- list by CREATED_AT DESC, the last before a cursor
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.created_at, c.id) <= ($2::timestamptz, $3))
ORDER BY c.created_at DESC, c.id DESC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.created_at, c.id) > ($2::timestamptz, $3))
ORDER BY c.created_at ASC, c.id ASC LIMIT 11;

-- list by CREATED_AT DESC, the first between cursors
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.created_at, c.id) >= ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
ORDER BY c.created_at ASC, c.id ASC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.created_at, c.id) < ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
  AND ((c.created_at, c.id) > ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
ORDER BY c.created_at DESC, c.id DESC LIMIT 8;

-- list by UPDATED_AT ASC, the last before a cursor
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.updated_at, c.id) >= ($2::timestamptz, $3))
ORDER BY c.updated_at ASC, c.id ASC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.updated_at, c.id) < ($2::timestamptz, $3))
ORDER BY c.updated_at DESC, c.id DESC LIMIT 11;

-- list by UPDATED_AT ASC, the last before a cursor, statement 2
SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.updated_at, c.id) >= ($2::timestamptz, $3))
ORDER BY c.updated_at ASC, c.id ASC LIMIT 1;

-- list by UPDATED_AT ASC, the first between cursors
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.updated_at, c.id) <= ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
ORDER BY c.updated_at DESC, c.id DESC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.updated_at, c.id) > ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
  AND ((c.updated_at, c.id) < ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
ORDER BY c.updated_at ASC, c.id ASC LIMIT 8;

-- list by UPDATED_AT ASC, the first between cursors, statement 3
SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.updated_at, c.id) <= ($2::timestamptz, $3))
ORDER BY c.updated_at DESC, c.id DESC LIMIT 1;

-- list by UPDATED_AT DESC, the last before a cursor
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.updated_at, c.id) <= ($2::timestamptz, $3))
ORDER BY c.updated_at DESC, c.id DESC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.updated_at, c.id) > ($2::timestamptz, $3))
ORDER BY c.updated_at ASC, c.id ASC LIMIT 11;

-- list by UPDATED_AT DESC, the first between cursors
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.updated_at, c.id) >= ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
ORDER BY c.updated_at ASC, c.id ASC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.updated_at, c.id) < ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
  AND ((c.updated_at, c.id) > ('2026-01-02T03:04:05.000000Z'::timestamptz, 'cust_1'))
ORDER BY c.updated_at DESC, c.id DESC LIMIT 8;

-- list by EMAIL ASC, the last before a cursor
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.email_key, c.id) >= ($2::text, $3))
ORDER BY c.email_key ASC, c.id ASC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.email_key, c.id) < ($2::text, $3))
ORDER BY c.email_key DESC, c.id DESC LIMIT 11;

-- list by EMAIL ASC, the last before a cursor, statement 2
SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.email_key, c.id) >= ($2::text, $3))
ORDER BY c.email_key ASC, c.id ASC LIMIT 1;

-- list by EMAIL ASC, the first between cursors
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.email_key, c.id) <= ('ann@example.com'::text, 'cust_1'))
ORDER BY c.email_key DESC, c.id DESC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.email_key, c.id) > ('ann@example.com'::text, 'cust_1'))
  AND ((c.email_key, c.id) < ('ann@example.com'::text, 'cust_1'))
ORDER BY c.email_key ASC, c.id ASC LIMIT 8;

-- list by EMAIL ASC, the first between cursors, statement 3
SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.email_key, c.id) <= ($2::text, $3))
ORDER BY c.email_key DESC, c.id DESC LIMIT 1;

-- list by EMAIL DESC, the last before a cursor
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.email_key, c.id) <= ($2::text, $3))
ORDER BY c.email_key DESC, c.id DESC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((c.email_key, c.id) > ($2::text, $3))
ORDER BY c.email_key ASC, c.id ASC LIMIT 11;

-- list by EMAIL DESC, the first between cursors
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.email_key, c.id) >= ('ann@example.com'::text, 'cust_1'))
ORDER BY c.email_key ASC, c.id ASC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((c.email_key, c.id) < ('ann@example.com'::text, 'cust_1'))
  AND ((c.email_key, c.id) > ('ann@example.com'::text, 'cust_1'))
ORDER BY c.email_key DESC, c.id DESC LIMIT 8;

-- list by NAME ASC, the last before a cursor
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END, c.id) >= ($2::bytea, $3))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END ASC, c.id ASC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END, c.id) < ($2::bytea, $3))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END DESC, c.id DESC LIMIT 11;

-- list by NAME ASC, the last before a cursor, statement 2
SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END, c.id) >= ($2::bytea, $3))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END ASC, c.id ASC LIMIT 1;

-- list by NAME ASC, the first between cursors
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END, c.id) <= ('\x15ef'::bytea, 'cust_1'))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END DESC, c.id DESC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END, c.id) > ('\x15ef'::bytea, 'cust_1'))
  AND ((CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END, c.id) < ('\x15ef'::bytea, 'cust_1'))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END ASC, c.id ASC LIMIT 8;

-- list by NAME ASC, the first between cursors, statement 3
SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END, c.id) <= ($2::bytea, $3))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '\xff' ELSE c.name_sort END DESC, c.id DESC LIMIT 1;

-- list by NAME DESC, the last before a cursor
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END, c.id) <= ($2::bytea, $3))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END DESC, c.id DESC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END, c.id) > ($2::bytea, $3))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END ASC, c.id ASC LIMIT 11;

-- list by NAME DESC, the last before a cursor, statement 2
SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END, c.id) <= ($2::bytea, $3))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END DESC, c.id DESC LIMIT 1;

-- list by NAME DESC, the first between cursors
SELECT "c"."id", "c"."email", "c"."name", "c"."user_id", "c"."billing_address_line1", "c"."billing_address_line2", "c"."billing_city", "c"."billing_postal_code", "c"."billing_country", "c"."tax_id", "c"."merchant_id", "c"."created_at", "c"."updated_at", "c"."deleted_at", "c"."email_shared", "c"."email_key", "c"."name_sort", "c"."version", (SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END, c.id) >= ('\x15ef'::bytea, 'cust_1'))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END ASC, c.id ASC LIMIT 1) IS NOT NULL AS behind
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = 'merchant_1')
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END, c.id) < ('\x15ef'::bytea, 'cust_1'))
  AND ((CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END, c.id) > ('\x15ef'::bytea, 'cust_1'))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END DESC, c.id DESC LIMIT 8;

-- list by NAME DESC, the first between cursors, statement 3
SELECT 1
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1)
  AND (c.deleted_at IS NULL)
  AND ((CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END, c.id) >= ($2::bytea, $3))
ORDER BY CASE WHEN c.name_sort IS NULL THEN '' ELSE c.name_sort END ASC, c.id ASC LIMIT 1;

-- the log of changes
SELECT h.epoch, h.sequence AS last, h.floor, x.sequence IS NOT NULL AS found, x.*
FROM public.merchant_heads AS h LEFT JOIN LATERAL (SELECT x.sequence, x.type, x.at, x.entity, x.entity_id, x.customer_id, x.version, x.actor_kind, x.actor_id, x.actor_name, x.request_id, x.reason, x.data::text AS data, x.previous::text AS previous
FROM public.changes AS x
WHERE (x.merchant_id = $1
  AND ($2::text = '' OR x.customer_id = $2::text))
  AND (x.sequence > COALESCE($3::int8, h.floor))
  AND (x.sequence <= COALESCE($3::int8, h.floor) + 10000)
  AND ($4::text[] IS NULL OR x.type = ANY($4))
  AND ($5::text IS NULL OR x.customer_id = $5)
ORDER BY x.sequence LIMIT $6) AS x ON true
WHERE (h.merchant_id = $1)
ORDER BY x.sequence;

-- the history of a customer
SELECT h.epoch, h.sequence AS last, x.sequence IS NOT NULL AS found, x.*
FROM (SELECT c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version
FROM public.customers AS c
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.id = $3)) AS c JOIN public.merchant_heads AS h ON h.merchant_id = $1 LEFT JOIN LATERAL (SELECT x.sequence, x.type, x.at, x.entity, x.entity_id, x.customer_id, x.version, x.actor_kind, x.actor_id, x.actor_name, x.request_id, x.reason, x.data::text AS data, x.previous::text AS previous
FROM public.changes AS x
WHERE (x.merchant_id = $1
  AND ($2::text = '' OR x.customer_id = $2::text))
  AND (x.customer_id = c.id)
  AND (x.entity = 'customer'
  AND x.entity_id = c.id)
  AND (x.sequence < COALESCE($4::int8, 9223372036854775807))
ORDER BY x.sequence DESC LIMIT $5) AS x ON true
ORDER BY x.sequence DESC;

-- a customer as of a time
SELECT $4 > clock.now AS future, COALESCE(c.created_at <= $4
  AND (x.sequence IS NOT NULL OR c.deleted_at IS NULL OR c.deleted_at > $4), false) AS existed, x.sequence IS NOT NULL AS changed, c.*, x.*
FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS now) AS clock LEFT JOIN (SELECT c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version
FROM public.customers AS c
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.id = $3)) AS c ON true LEFT JOIN LATERAL (SELECT x.sequence, x.type, x.at, x.entity, x.entity_id, x.customer_id, x.version, x.actor_kind, x.actor_id, x.actor_name, x.request_id, x.reason, x.data::text AS data, x.previous::text AS previous
FROM public.changes AS x
WHERE (x.merchant_id = $1
  AND ($2::text = '' OR x.customer_id = $2::text))
  AND (x.customer_id = c.id)
  AND (x.entity = 'customer'
  AND x.entity_id = c.id)
  AND (x.sequence > COALESCE((SELECT y.sequence
FROM public.changes AS y
WHERE (y.merchant_id = $1
  AND ($2::text = '' OR y.customer_id = $2::text))
  AND (y.customer_id = c.id)
  AND (y.entity = 'customer'
  AND y.entity_id = c.id)
  AND (y.at <= $4)
ORDER BY y.sequence DESC LIMIT 1), 0))
ORDER BY x.sequence LIMIT 1) AS x ON true;
