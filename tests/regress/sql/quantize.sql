-- neural.quantize: versions with 8-bit weights and activations.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_neural;
CREATE TABLE quantized AS
SELECT i AS id, sin(i) AS a, cos(i * 0.7) AS b, (i * 7919 % 101) / 50.0 - 1 AS c,
       sin(i) * cos(i * 0.7) + (i * 7919 % 101) / 100.0 AS y, sin(i) + cos(i * 0.7) > 0.1 AS bad,
       (ARRAY['x', 'y', 'z'])[1 + (i * 7919 % 101) / 34] AS kind
FROM generate_series(1, 2000) AS i;
CREATE FUNCTION wide(name text, columns text, target text, layers text DEFAULT
        '{"type": "dense", "name": "one", "units": 64, "activation": "relu"}, {"type": "dense", "name": "two", "units": 96, "activation": "relu"}')
    RETURNS int LANGUAGE sql AS $$
    SELECT version FROM neural.train(name, format('SELECT %s, %s FROM quantized', columns, target), target, epochs => 3, seed => 1,
        architecture => format('{"layers": [%s]}', layers), options => '{"verbose": false}') $$;
SELECT wide('q_bad', 'a, b, c', 'bad'), wide('q_y', 'a, b, c', 'y'), wide('q_kind', 'a, b, c', 'kind');

-- The metrics before are those that evaluate tells; after, about the same.
SET client_min_messages = notice;
CREATE TEMP TABLE told AS SELECT * FROM neural.quantize('q_bad', 'SELECT a, b, c, bad FROM quantized WHERE id % 4 = 0');
SET client_min_messages = warning;
SELECT t.version, t.metric, t.before = e.value AS as_evaluated, abs(t.after - t.before) < 0.02 AS is_near
FROM told t JOIN neural.evaluate('q_bad@1', 'SELECT a, b, c, bad FROM quantized WHERE id % 4 = 0') e USING (metric) ORDER BY metric;
SELECT count(*) AS differ FROM told t JOIN neural.evaluate('q_bad', 'SELECT a, b, c, bad FROM quantized WHERE id % 4 = 0') e
USING (metric) WHERE t.after IS DISTINCT FROM e.value;
SELECT DISTINCT version FROM neural.quantize('q_y', 'SELECT a, b, c, y FROM quantized', '{"deploy": false}');
SELECT metric, abs(after - before) < 0.02 AS is_near FROM neural.quantize('q_kind', 'TABLE quantized') ORDER BY metric;
SELECT v.model, v.version, v.deployed, (v.options -> 'quantized') - 'query'::text AS quantized, v.metrics -> 'judged_on' AS judged_on,
       v.query = o.query AS same_query, v.train_loss = o.train_loss AS same_loss, m.size_bytes IS NOT NULL AS sized
FROM neural.model_versions v JOIN neural.model_versions o ON o.model = v.model AND o.version = 1 JOIN neural.models m ON m.name = v.model
WHERE v.model LIKE 'q\_%' AND v.version = 2 ORDER BY v.model;

-- The same function but for the rounding, row by row and in batches, to the bit; pinned, and from an export.
SELECT neural.create_function('q_pinned', 'q_bad', version => 2);
SELECT max(abs(neural.predict('q_bad', a, b, c) - neural.predict('q_bad@1', a, b, c))) BETWEEN 1e-9 AND 0.05 AS is_near FROM quantized;
SELECT neural.import_model('q_copy', neural.export_model('q_bad')) AS copied;
CREATE TABLE scored AS
SELECT id, neural.predict('q_bad', a, b, c) AS batch, q_pinned(a, b, c) AS pinned, neural.predict('q_copy', a, b, c) AS copied FROM quantized;
SET neural.batch_scoring = off;
SELECT count(*) FILTER (WHERE s.batch <> neural.predict('q_bad', a, b, c)) AS batch, count(*) FILTER (WHERE s.batch <> s.pinned) AS pinned,
       count(*) FILTER (WHERE s.batch <> s.copied) AS copied FROM scored s JOIN quantized USING (id);
RESET neural.batch_scoring;
SELECT count(DISTINCT sha256) FROM neural.model_versions WHERE (model, version) IN (('q_bad', 2), ('q_copy', 1));
-- Far values and missing ones.
SELECT neural.predict('q_bad', 1e300, -1e300, NULL) BETWEEN 0 AND 1 AS far, neural.predict('q_bad', 'Infinity', 'NaN', 0) BETWEEN 0 AND 1 AS none;
SELECT neural.set_threshold('q_bad', 0.3) AS threshold;
SELECT DISTINCT neural.predict('q_bad@2', a, b, c) = neural.predict('q_bad', a, b, c) AS same FROM quantized;
SELECT * FROM neural.check() WHERE model LIKE 'q\_%';

-- A quarter of the size where weights dominate.
SELECT wide('q_large', 'a, b, c', 'y', '{"type": "dense", "units": 400}, {"type": "dense", "units": 400}');
SELECT count(*) > 0 FROM neural.quantize('q_large', 'SELECT * FROM quantized WHERE id <= 200');
SELECT max(length(neural.export_model(format('q_large@%s', v), lineage => false))) FILTER (WHERE v = 2)::float8
     / max(length(neural.export_model(format('q_large@%s', v), lineage => false))) FILTER (WHERE v = 1) <= 0.3 AS is_small
FROM generate_series(1, 2) AS v;
-- By its layers' names, of each member.
SELECT neural.deploy('q_kind', 1);
SELECT count(*) > 0 FROM neural.quantize('q_kind', 'TABLE quantized', '{"layers": ["two"]}');
SELECT options -> 'quantized' -> 'layers' AS layers FROM neural.model_versions WHERE model = 'q_kind' AND version = 3;

-- What cannot be.
CREATE FUNCTION quantize_refused(sql text) RETURNS TABLE (code text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE sql;
    message := 'it was not refused'; RETURN NEXT;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;
\x on
SELECT wide('q_small', 'a, b, c', 'y', '{"type": "dense", "units": 16}');
SELECT r.* FROM unnest(ARRAY[
    $$SELECT neural.quantize('q_bad', 'TABLE quantized')$$,
    $$SELECT neural.quantize('q_small', 'TABLE quantized')$$,
    $$SELECT neural.quantize('none', 'TABLE quantized')$$,
    $$SELECT neural.quantize('q_y', 'SELECT a, b, c FROM quantized')$$,
    $$SELECT neural.quantize('q_y', 'SELECT a, b, y FROM quantized')$$,
    $$SELECT neural.quantize('q_y', 'SELECT * FROM quantized LIMIT 3')$$,
    $$SELECT neural.quantize('q_y', 'SELECT * FROM quantized LIMIT 0')$$,
    $$SELECT neural.quantize('q_y', 'SELECT 1/0 AS a')$$,
    $$SELECT neural.quantize('q_y', NULL)$$,
    $$SELECT neural.quantize('q_y', 'TABLE quantized', '[]')$$,
    $$SELECT neural.quantize('q_y', 'TABLE quantized', '{"layer": ["two"]}')$$,
    $$SELECT neural.quantize('q_y', 'TABLE quantized', '{"layers": "two"}')$$,
    $$SELECT neural.quantize('q_y', 'TABLE quantized', '{"layers": ["too"]}')$$,
    $$SELECT neural.quantize('q_y', 'TABLE quantized', '{"layers": ["one"]}')$$,
    $$SELECT neural.quantize('q_y', 'TABLE quantized', '{"deploy": 1}')$$,
    $$SELECT neural.quantize('q_y', 'TABLE quantized', '{"target": "kind"}')$$,
    $$SELECT neural.quantize('q_y', 'TABLE quantized', '{"target": "none"}')$$,
    $$SELECT neural.train('q_bad', 'SELECT a, b, c, bad FROM quantized', 'bad', epochs => 1, options => '{"warm_start": true, "verbose": false}')$$,
    $$SELECT neural.reproduce('q_kind', 2)$$]) AS sql, quantize_refused(sql) AS r;
\x off
SET neural.max_memory = '1MB';
SELECT r.code, regexp_replace(message, '\d+', '…') AS message, hint
FROM quantize_refused($$SELECT neural.quantize('q_y@1', 'SELECT q.* FROM quantized q, generate_series(1, 60)')$$) r;
RESET neural.max_memory;
BEGIN READ ONLY;
SELECT neural.quantize('q_y', 'TABLE quantized');
ROLLBACK;
-- Values without any spread, and far ones among them.
SELECT count(*) > 0 AS constant FROM neural.quantize('q_y@1', 'SELECT 0.5 AS a, 0.5 AS b, 0.5 AS c, y FROM quantized');
SELECT count(*) > 0 AS far FROM neural.quantize('q_y@1', $$SELECT CASE WHEN id = 7 THEN 'Infinity' ELSE a END AS a, b, c, y FROM quantized$$);
SELECT neural.predict('q_y', 0.1, 0.2, 0.3) BETWEEN -10 AND 10 AS is_number;

-- A grantee calls it, and does not make versions.
CREATE ROLE regress_quantize_reader;
SELECT neural.grant_model('q_y', 'regress_quantize_reader');
GRANT SELECT ON quantized TO regress_quantize_reader;
SET ROLE regress_quantize_reader;
SELECT neural.predict('q_y', 0.1, 0.2, 0.3) IS NOT NULL AS called;
SELECT neural.quantize('q_y@1', 'TABLE quantized');
RESET ROLE;
DO $$ BEGIN PERFORM neural.drop_model(m, force => true) FROM unnest(ARRAY['q_y', 'q_kind', 'q_small', 'q_large', 'q_copy', 'q_bad']) AS m; END $$;
DROP OWNED BY regress_quantize_reader;
DROP ROLE regress_quantize_reader;
DROP TABLE quantized, scored;
DROP FUNCTION wide, quantize_refused, q_pinned;
