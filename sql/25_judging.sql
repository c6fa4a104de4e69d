-- Judging models on the rows of a query. The Rust side is src/pg/api/judging.rs.

CREATE FUNCTION neural.evaluate(model text, query text, target text DEFAULT NULL)
    RETURNS TABLE (metric text, value float8)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 9 AS 'MODULE_PATHNAME', 'evaluate_wrapper';
COMMENT ON FUNCTION neural.evaluate IS 'the metrics of a model on the rows of a query';

CREATE FUNCTION neural.confusion_matrix(model text, query text, target text DEFAULT NULL)
    RETURNS TABLE (actual text, predicted text, count bigint)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 4 AS 'MODULE_PATHNAME', 'confusion_matrix_wrapper';
COMMENT ON FUNCTION neural.confusion_matrix IS
    'how often each class was predicted for each actual one, on the rows of a query';

-- The Rust side is src/pg/api/quantize.rs.
CREATE FUNCTION neural.quantize(model text, query text, options jsonb DEFAULT '{}')
    RETURNS TABLE (version int, metric text, before float8, after float8)
    LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 9 AS 'MODULE_PATHNAME', 'quantize_wrapper';
COMMENT ON FUNCTION neural.quantize IS
    'makes a version with 8-bit weights and activations, calibrated on the rows of a query; each metric on them before and after';
