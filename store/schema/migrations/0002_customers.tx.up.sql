-- Customers. Row-level security isolates merchants (I1). It is forced, so that not even the owner
-- bypasses it by accident. The primary key, every unique index and every foreign key begin with
-- merchant_id.

CREATE TABLE customers (
    merchant_id           text COLLATE "C" NOT NULL REFERENCES merchants (id),
    id                    text COLLATE "C" NOT NULL,
    email                 text NOT NULL,
    email_key             text COLLATE "C" NOT NULL,
    email_shared          boolean NOT NULL,
    name                  text,
    name_key              text COLLATE "C",
    user_id               text COLLATE "C",
    billing_address_line1 text,
    billing_address_line2 text,
    billing_city          text,
    billing_postal_code   text,
    billing_country       text COLLATE "C",
    tax_id                text,
    -- The folded email, name and user id, one line each.
    search_key            text COLLATE "C" NOT NULL,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    deleted_at            timestamptz,
    PRIMARY KEY (merchant_id, id),
    CHECK ((name IS NULL) = (name_key IS NULL)),
    CHECK (updated_at >= created_at),
    CHECK (deleted_at >= created_at)
);

-- I2: one live customer per email, except for rows that were written with the flag. Writers also
-- check all live rows.
CREATE UNIQUE INDEX customers_email_unique ON customers (merchant_id, email_key)
    WHERE deleted_at IS NULL AND NOT email_shared;

-- One index for each sort. The indexes hold deleted rows, because lists may include them. A
-- customer without a name comes last in either direction: after every name in an ascending list,
-- before every name in a descending list, which is read from the end.
CREATE INDEX customers_created_at ON customers (merchant_id, created_at, id);
CREATE INDEX customers_updated_at ON customers (merchant_id, updated_at, id);
CREATE INDEX customers_email_key ON customers (merchant_id, email_key, id);
CREATE INDEX customers_name_ascending ON customers (merchant_id, (CASE WHEN name_key IS NULL THEN U&'\+10FFFF' ELSE name_key END), id);
CREATE INDEX customers_name_descending ON customers (merchant_id, (CASE WHEN name_key IS NULL THEN '' ELSE name_key END), id);

-- For the filters that select few rows out of many, in the order of the default list.
CREATE INDEX customers_user_id ON customers (merchant_id, user_id, created_at, id) WHERE user_id IS NOT NULL;
CREATE INDEX customers_billing_country ON customers (merchant_id, billing_country, created_at, id) WHERE billing_country IS NOT NULL;

ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
ALTER TABLE customers FORCE ROW LEVEL SECURITY;

-- Without the setting a statement sees no rows, and gets no error.
CREATE POLICY customers_wall ON customers TO lumen_app
    USING (merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''))
    WITH CHECK (merchant_id = NULLIF(current_setting('lumen.merchant_id', true), ''));

-- I3: a deleted row cannot be changed, and no row is ever removed (no DELETE, no TRUNCATE). The id,
-- the merchant and the creation time of a row cannot be changed.
CREATE POLICY customers_history ON customers AS RESTRICTIVE FOR UPDATE TO lumen_app
    USING (deleted_at IS NULL)
    WITH CHECK (true);
REVOKE ALL ON customers FROM PUBLIC;
GRANT SELECT, INSERT ON customers TO lumen_app;
GRANT UPDATE (email, email_key, email_shared, name, name_key, user_id, billing_address_line1, billing_address_line2,
    billing_city, billing_postal_code, billing_country, tax_id, search_key, updated_at, deleted_at) ON customers TO lumen_app;
