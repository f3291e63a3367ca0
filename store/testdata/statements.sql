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
INSERT INTO "public"."customers" ("merchant_id", "id", "created_at", "updated_at", "email", "name", "user_id", "billing_address_line1", "billing_address_line2", "billing_city", "billing_postal_code", "billing_country", "tax_id", "email_key", "name_sort", "name_key", "email_shared", "search_key")
SELECT "merchant_id", "id", "created_at", "updated_at", "email", "name", "user_id", "billing_address_line1", "billing_address_line2", "billing_city", "billing_postal_code", "billing_country", "tax_id", "email_key", "name_sort", "name_key", "email_shared", "search_key"
FROM (SELECT $1 AS merchant_id, $3 AS id, clock.now AS created_at, clock.now AS updated_at, $4::text AS "email", $5::text AS "name", $6::text AS "user_id", $7::text AS "billing_address_line1", $8::text AS "billing_address_line2", $9::text AS "billing_city", $10::text AS "billing_postal_code", $11::text AS "billing_country", $12::text AS "tax_id", $13::text AS "email_key", $14::bytea AS "name_sort", $15::text AS "name_key", $19::bool AS "email_shared", $16::text || E'\n' || $17::text || E'\n' || $18::text AS "search_key"
FROM (SELECT date_trunc('milliseconds', clock_timestamp()) AS now) AS clock
WHERE (($2::text = '' OR $3 = $2::text))
  AND ($19::bool OR NOT EXISTS (SELECT 1
FROM public.customers AS holder
WHERE (holder.merchant_id = $1
  AND ($2::text = '' OR holder.id = $2::text))
  AND (holder.deleted_at IS NULL)
  AND (holder.email_key = $13::text)))) AS fresh
RETURNING id, email, name, user_id, billing_address_line1, billing_address_line2, billing_city, billing_postal_code, billing_country, tax_id, merchant_id, created_at, updated_at, deleted_at, email_shared, email_key, name_sort, version;

-- update the email
WITH "old" AS (SELECT "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET "email" = $5::text, search_key = $7::text || E'\n' || split_part(c.search_key, E'\n', 2) || E'\n' || split_part(c.search_key, E'\n', 3), email_key = CASE WHEN c.email = $5::text THEN c.email_key ELSE $6::text END, email_shared = CASE WHEN (c.email_key <> $6::text
  AND c.email <> $5::text) THEN $8::bool ELSE c.email_shared END, (updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) ELSE c.updated_at END, c.version + t.changed::int
FROM (SELECT false OR c.email IS DISTINCT
FROM $5::text AS changed) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($4::int8[] IS NULL OR old.version = ANY($4))
  AND (NOT ((c.email_key <> $6::text
  AND c.email <> $5::text)) OR $8::bool OR NOT EXISTS (SELECT 1
FROM public.customers AS holder
WHERE (holder.merchant_id = $1
  AND ($2::text = '' OR holder.id = $2::text))
  AND (holder.deleted_at IS NULL)
  AND (holder.email_key = $6::text)
  AND (holder.id <> c.id)))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version)
SELECT old.version, new.id IS NOT NULL AS updated, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true;

-- update the name
WITH "old" AS (SELECT "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET "name" = $5::text, search_key = split_part(c.search_key, E'\n', 1) || E'\n' || $8::text || E'\n' || split_part(c.search_key, E'\n', 3), name_sort = $6::bytea, name_key = $7::text, (updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) ELSE c.updated_at END, c.version + t.changed::int
FROM (SELECT false OR c.name IS DISTINCT
FROM $5::text AS changed) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($4::int8[] IS NULL OR old.version = ANY($4))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version)
SELECT old.version, new.id IS NOT NULL AS updated, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true;

-- update the user id
WITH "old" AS (SELECT "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET "user_id" = $5::text, search_key = split_part(c.search_key, E'\n', 1) || E'\n' || split_part(c.search_key, E'\n', 2) || E'\n' || $6::text, (updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) ELSE c.updated_at END, c.version + t.changed::int
FROM (SELECT false OR c.user_id IS DISTINCT
FROM $5::text AS changed) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($4::int8[] IS NULL OR old.version = ANY($4))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version)
SELECT old.version, new.id IS NOT NULL AS updated, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true;

-- update the city
WITH "old" AS (SELECT "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET "billing_city" = $5::text, (updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) ELSE c.updated_at END, c.version + t.changed::int
FROM (SELECT false OR c.billing_city IS DISTINCT
FROM $5::text AS changed) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($4::int8[] IS NULL OR old.version = ANY($4))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version)
SELECT old.version, new.id IS NOT NULL AS updated, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true;

-- update several fields
WITH "old" AS (SELECT "c"."version"
FROM "public"."customers" AS "c"
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3) FOR NO KEY UPDATE), "new" AS (UPDATE "public"."customers" AS "c"
SET "email" = $5::text, "name" = $6::text, "user_id" = $7::text, "tax_id" = $8::text, search_key = $12::text || E'\n' || $13::text || E'\n' || $14::text, name_sort = $10::bytea, name_key = $11::text, email_key = CASE WHEN c.email = $5::text THEN c.email_key ELSE $9::text END, email_shared = CASE WHEN (c.email_key <> $9::text
  AND c.email <> $5::text) THEN $15::bool ELSE c.email_shared END, (updated_at, version) = (SELECT CASE WHEN t.changed THEN GREATEST(c.updated_at, date_trunc('milliseconds', clock_timestamp())) ELSE c.updated_at END, c.version + t.changed::int
FROM (SELECT false OR c.email IS DISTINCT
FROM $5::text OR c.name IS DISTINCT
FROM $6::text OR c.user_id IS DISTINCT
FROM $7::text OR c.tax_id IS DISTINCT
FROM $8::text AS changed) AS t)
FROM old
WHERE (c.merchant_id = $1
  AND ($2::text = '' OR c.id = $2::text))
  AND (c.deleted_at IS NULL)
  AND (c.id = $3)
  AND ($4::int8[] IS NULL OR old.version = ANY($4))
  AND (NOT ((c.email_key <> $9::text
  AND c.email <> $5::text)) OR $15::bool OR NOT EXISTS (SELECT 1
FROM public.customers AS holder
WHERE (holder.merchant_id = $1
  AND ($2::text = '' OR holder.id = $2::text))
  AND (holder.deleted_at IS NULL)
  AND (holder.email_key = $9::text)
  AND (holder.id <> c.id)))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version)
SELECT old.version, new.id IS NOT NULL AS updated, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true;

-- update nothing
WITH "old" AS (SELECT "c"."version"
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
  AND ($4::int8[] IS NULL OR old.version = ANY($4))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version)
SELECT old.version, new.id IS NOT NULL AS updated, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true;

-- delete
WITH "old" AS (SELECT "c"."version"
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
  AND ($4::int8[] IS NULL OR old.version = ANY($4))
RETURNING c.id, c.email, c.name, c.user_id, c.billing_address_line1, c.billing_address_line2, c.billing_city, c.billing_postal_code, c.billing_country, c.tax_id, c.merchant_id, c.created_at, c.updated_at, c.deleted_at, c.email_shared, c.email_key, c.name_sort, c.version)
SELECT old.version, new.id IS NOT NULL AS updated, new.id, new.email, new.name, new.user_id, new.billing_address_line1, new.billing_address_line2, new.billing_city, new.billing_postal_code, new.billing_country, new.tax_id, new.merchant_id, new.created_at, new.updated_at, new.deleted_at, new.email_shared, new.email_key, new.name_sort, new.version
FROM old LEFT JOIN new ON true;

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
