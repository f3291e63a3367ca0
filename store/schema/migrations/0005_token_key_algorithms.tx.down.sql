-- The earlier program cannot use an ES256 key. Tokens that such keys signed become invalid. An
-- EdDSA key signs again if there is one that was not revoked.
DELETE FROM token_keys WHERE octet_length(public_key) <> 32;
ALTER TABLE token_keys
    DROP CONSTRAINT token_keys_public_key_check,
    ADD CONSTRAINT token_keys_public_key_check CHECK (octet_length(public_key) = 32);
