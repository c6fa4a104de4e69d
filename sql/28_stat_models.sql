-- How often models are called.

CREATE FUNCTION _neural.counted(version bigint, sha256 bytea)
    RETURNS TABLE (calls bigint, rows bigint, seconds float8, last_call timestamptz)
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED ROWS 1
    AS 'MODULE_PATHNAME', 'counted_wrapper';

CREATE VIEW neural.stat_models WITH (security_barrier) AS
    SELECT m.name AS model,
           v.number AS version,
           coalesce(c.calls, 0) AS calls,
           coalesce(c.rows, 0) AS rows,
           coalesce(c.seconds, 0) AS seconds,
           c.last_call
    FROM _neural.model m
    JOIN _neural.version v ON v.model = m.id
    LEFT JOIN LATERAL _neural.counted(v.id, v.sha256) AS c ON true
    WHERE _neural.may_use(m.id, m.owner);
COMMENT ON VIEW neural.stat_models IS
    'how often each version was called, for how many rows and seconds, and when last';

CREATE FUNCTION neural.reset_stat_models(model text DEFAULT NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'reset_stat_models_wrapper';
COMMENT ON FUNCTION neural.reset_stat_models IS
    'begins to count anew the calls of a model, or of all that one manages';
