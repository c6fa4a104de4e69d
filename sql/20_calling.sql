-- Calling models. The Rust side is src/pg/api/calling.rs.
-- Not STRICT: a NULL feature is a missing value.

-- Tells the planner what a call costs.
CREATE FUNCTION _neural.predict_cost(internal) RETURNS internal
    LANGUAGE c STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'neural_predict_cost';

CREATE FUNCTION neural.predict(model text, VARIADIC features "any") RETURNS float8
    LANGUAGE c STABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict';
COMMENT ON FUNCTION neural.predict IS
    'the value a regression predicts, or the probability of the positive class';

CREATE FUNCTION neural.predict_class(model text, VARIADIC features "any") RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict_class';
COMMENT ON FUNCTION neural.predict_class IS 'the predicted class';

CREATE FUNCTION neural.predict_proba(model text, VARIADIC features "any") RETURNS float8[]
    LANGUAGE c STABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict_proba';
COMMENT ON FUNCTION neural.predict_proba IS
    'the probability of each class, in the order of neural.classes(model), or all outputs';

CREATE FUNCTION neural.predict_pinned(sha256 bytea, VARIADIC features "any") RETURNS float8
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict_pinned';
COMMENT ON FUNCTION neural.predict_pinned IS
    'as neural.predict, of the stored version with that hash, whatever its name';

CREATE FUNCTION neural.predict_class_pinned(sha256 bytea, VARIADIC features "any") RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict_class_pinned';
COMMENT ON FUNCTION neural.predict_class_pinned IS
    'as neural.predict_class, of the stored version with that hash, whatever its name';

CREATE FUNCTION neural.predict_proba_pinned(sha256 bytea, VARIADIC features "any") RETURNS float8[]
    LANGUAGE c IMMUTABLE PARALLEL SAFE COST 100 SUPPORT _neural.predict_cost
    AS 'MODULE_PATHNAME', 'neural_predict_proba_pinned';
COMMENT ON FUNCTION neural.predict_proba_pinned IS
    'as neural.predict_proba, of the stored version with that hash, whatever its name';

CREATE FUNCTION neural.classes(model text) RETURNS text[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'classes_wrapper';
COMMENT ON FUNCTION neural.classes IS 'the classes of a model, in the order of neural.predict_proba';

CREATE FUNCTION neural.model_cache_info()
    RETURNS TABLE (
        model         text,
        version       int,
        sha256        bytea,
        private_bytes bigint,
        shared_bytes  bigint,
        shared_file   text,
        last_used     timestamptz
    )
    LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10
    AS 'MODULE_PATHNAME', 'model_cache_info_wrapper';
COMMENT ON FUNCTION neural.model_cache_info IS
    'the models that this connection keeps ready: memory of its own, and of files that connections share';

CREATE FUNCTION neural.create_function(
    function_name text,
    model         text,
    returns       text    DEFAULT 'predict',
    version       int     DEFAULT NULL,
    replace       boolean DEFAULT false
) RETURNS regprocedure
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'create_function_wrapper';
COMMENT ON FUNCTION neural.create_function IS
    'makes an SQL function with the model''s features as its typed parameters';
