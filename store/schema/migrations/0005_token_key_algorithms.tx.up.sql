-- The size of a public key tells the algorithm of the key: 32 octets are an Ed25519 key (EdDSA), 65
-- octets are an uncompressed point of P-256 (ES256).
ALTER TABLE token_keys
    DROP CONSTRAINT token_keys_public_key_check,
    ADD CONSTRAINT token_keys_public_key_check CHECK (octet_length(public_key) IN (32, 65));
