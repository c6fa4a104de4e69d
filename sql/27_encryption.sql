-- Encryption at rest.

CREATE FUNCTION neural.reencrypt() RETURNS bigint
    LANGUAGE c AS 'MODULE_PATHNAME', 'reencrypt_wrapper';
COMMENT ON FUNCTION neural.reencrypt IS
    'encrypts all stored models with the first key of neural.encryption_key_command; how many versions were not';
