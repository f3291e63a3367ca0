DROP POLICY customers_bound ON customers;
DROP FUNCTION lumen_authenticate_token(text, text, text);
DROP FUNCTION lumen_token_signer(text, text);
DROP FUNCTION lumen_token_keys();
DROP TABLE token_keys;
