-- The program before knows no ES256 key. The tokens that these keys signed end, and an EdDSA key signs again where one is
-- left that was not revoked.
DELETE FROM token_keys WHERE octet_length(public_key) <> 32;
ALTER TABLE token_keys
    DROP CONSTRAINT token_keys_public_key_check,
    ADD CONSTRAINT token_keys_public_key_check CHECK (octet_length(public_key) = 32);
