\echo Use "ALTER EXTENSION pg_neural UPDATE TO '0.3.0'" to load this file. \quit

CREATE FUNCTION neural.quantize(model text, query text, options jsonb DEFAULT '{}')
    RETURNS TABLE (version int, metric text, before float8, after float8)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 9 AS 'MODULE_PATHNAME', 'quantize_wrapper';
COMMENT ON FUNCTION neural.quantize IS
    'makes a version with 8-bit weights and activations, calibrated on the rows of a query; each metric on them before and after';
REVOKE ALL ON FUNCTION neural.quantize(text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION neural.quantize(text, text, jsonb) TO PUBLIC;
