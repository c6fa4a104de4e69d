-- Networks trained elsewhere: import_weights, and export_model as the way back.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY terse
SET client_min_messages = warning;

CREATE FUNCTION not_imported(statement text) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, 'it went through'::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;

-- A safetensors file: the header's length, the header, the tensors' bytes, little-endian.
CREATE TABLE tensor (file text, name text, shape text, numbers real[]);
CREATE OR REPLACE FUNCTION little_endian(bytes bytea) RETURNS bytea
RETURN (SELECT string_agg(substring(bytes FROM i FOR 1), '' ORDER BY i DESC)
        FROM generate_series(1, length(bytes)) i);
CREATE FUNCTION state_dict(of text) RETURNS bytea LANGUAGE sql AS $$
    WITH placed AS (
        SELECT name, shape, numbers, n,
               4 * sum(cardinality(numbers)) OVER (ORDER BY n) AS stop,
               4 * cardinality(numbers) AS size
        FROM (SELECT *, row_number() OVER (ORDER BY name) AS n FROM tensor WHERE file = of) t),
    parts AS (
        SELECT convert_to('{' || string_agg(format('"%s":{"dtype":"F32","shape":%s,"data_offsets":[%s,%s]}',
                          name, shape, stop - size, stop), ',' ORDER BY n) || '}', 'UTF8') AS header
        FROM placed),
    bytes AS (
        SELECT string_agg(little_endian(float4send(number)), '' ORDER BY n, i) AS data
        FROM placed, unnest(numbers) WITH ORDINALITY u(number, i))
    SELECT little_endian(int8send(length(header))) || header || data FROM parts, bytes
$$;

-- 2·(x1 − 10)/2 − 1·x2 + 0.5, and a hidden layer that gives both signs of x.
INSERT INTO tensor VALUES
    ('linear', 'fc.weight', '[1,2]', '{2,-1}'),
    ('linear', 'fc.bias', '[1]', '{0.5}'),
    ('two', 'net.0.weight', '[2,1]', '{1,-1}'),
    ('two', 'net.0.bias', '[2]', '{0,0}'),
    ('two', 'net.2.weight', '[2,2]', '{1,0,0,1}'),
    ('two', 'net.2.bias', '[2]', '{0,0}'),
    ('two', 'aux.weight', '[1]', '{7}');

SELECT neural.import_weights('linear', state_dict('linear'),
    '{"layers": [{"type": "Linear", "name": "fc", "units": 1}]}', 'regression',
    '[{"name": "x1", "type": "numeric", "mean": 10, "std": 2}, {"name": "x2", "type": "numeric"}]');
SELECT neural.predict('linear', 12, 3) AS minus_half, neural.predict('linear', NULL, 0) AS half;
SELECT name, version, task, target, classes, positive_class, parameters,
       features -> 0 ->> 'type' AS type, metrics FROM neural.models;
SELECT query, options, rows_trained FROM neural.model_versions;
-- Imported weights have no target.
SELECT * FROM not_imported($$SELECT * FROM neural.evaluate('linear', 'SELECT 12 AS x1, 3 AS x2, 0 AS y')$$);
SELECT * FROM neural.evaluate('linear', 'SELECT 12 AS x1, 3 AS x2, 0.5 AS y', 'y');

-- Two classes, tensors renamed, one left out; the classes are in the order of the outputs.
SELECT neural.import_weights('two', state_dict('two'),
    '{"layers": [{"type": "dense", "name": "hidden", "units": 2, "activation": "relu"}, {"type": "output", "name": "out", "units": 2}]}',
    'classification', '[{"name": "x", "type": "numeric", "sql_type": "real"}]', ARRAY['up', 'down'],
    '{"rename": {"net.0": "hidden", "net.2": "out", "aux": null}}');
SELECT x, neural.predict_class('two', x), round(neural.predict('two', x)::numeric, 6) AS down,
       round((neural.predict_proba('two', x))[1]::numeric, 6) AS up
FROM (VALUES (2.0::real), (-2.0), (0)) v(x);
SELECT neural.import_weights('second', state_dict('two'),
    '{"layers": [{"type": "dense", "name": "hidden", "units": 2, "activation": "relu"}, {"type": "output", "name": "out", "units": 2}]}',
    'classification', '[{"name": "x", "type": "numeric"}]', ARRAY['up', 'down'],
    '{"rename": {"net.0": "hidden", "net.2": "out", "aux": null}, "positive_class": "up"}');
SELECT neural.classes('second'), neural.predict_class('second', 2), neural.predict('second', 2) > 0.5 AS up,
       abs((neural.predict_proba('second', 2))[1] - (neural.predict_proba('two', 2))[1]) < 1e-6 AS same;
-- The same network as two labels, and as two outputs of a regression.
SELECT neural.import_weights('labels', state_dict('two'),
    '{"layers": [{"type": "dense", "name": "net.0", "units": 2, "activation": "relu"}, {"type": "dense", "name": "net.2", "units": 2}]}',
    'classification', '[{"name": "x", "type": "numeric"}]', ARRAY['up', 'down'],
    '{"rename": {"aux": null}, "multi_label": true, "threshold": 0.6}');
SELECT neural.predict_class('labels', 2), neural.predict_class('labels', 0);
SELECT neural.import_weights('outputs', state_dict('two'),
    '{"layers": [{"type": "dense", "name": "net.0", "units": 2, "activation": "relu"}, {"type": "dense", "name": "net.2", "units": 2}]}',
    'regression', '[{"name": "x", "type": "numeric"}]', NULL,
    '{"rename": {"aux": null}, "target_mean": [100, 0], "target_std": 10}');
SELECT neural.predict_proba('outputs', 2), neural.predict_proba('outputs', -2);

-- The next version; another signature is another model.
SELECT neural.import_weights('linear', state_dict('linear'), '{"layers": [{"type": "output", "name": "fc"}]}', 'regression',
    '[{"name": "x1", "type": "numeric"}, {"name": "x2", "type": "numeric"}]', options => '{"deploy": false}');
SELECT version, deployed FROM neural.model_versions WHERE model = 'linear' ORDER BY version;
SELECT neural.predict('linear', 12, 3), neural.predict('linear@2', 12, 3);
SELECT * FROM not_imported($$SELECT neural.import_weights('linear', state_dict('linear'), '{"layers": [{"type": "output", "name": "fc"}]}', 'regression',
    '[{"name": "a", "type": "numeric"}, {"name": "x2", "type": "numeric"}]')$$);

-- What is exported holds the tensors under their names, and can be imported either way.
SELECT neural.import_model('copy', neural.export_model('two'));
SELECT neural.import_weights('again', neural.export_model('two'),
    '{"layers": [{"type": "dense", "name": "hidden", "units": 2, "activation": "relu"}, {"type": "output", "name": "out", "units": 2}]}',
    'classification', '[{"name": "x", "type": "numeric", "sql_type": "real"}]', ARRAY['up', 'down']);
SELECT neural.predict_proba('copy', 0.3) = neural.predict_proba('two', 0.3) AS copied,
       neural.predict_proba('again', 0.3) = neural.predict_proba('two', 0.3) AS again;
SELECT position(convert_to('"hidden.weight"', 'UTF8') IN neural.export_model('two')) > 0 AS named;

-- What does not fit is named.
SELECT * FROM not_imported($$SELECT neural.import_weights('x', state_dict('two'),
    '{"layers": [{"type": "dense", "name": "hidden", "units": 2}, {"type": "output", "name": "out"}]}',
    'classification', '[{"name": "x", "type": "numeric"}]', ARRAY['a', 'b', 'c'])$$);
SELECT * FROM not_imported($$SELECT neural.import_weights('x', state_dict('linear'),
    '{"layers": [{"type": "output", "name": "fc"}]}', 'regression', '[{"name": "x", "type": "numeric"}]')$$);
SELECT * FROM not_imported($$SELECT neural.import_weights('x', '\x504b0304', '{"layers": []}', 'regression',
    '[{"name": "x", "type": "numeric"}]')$$);
SELECT code, message FROM not_imported($$SELECT neural.import_weights('x', state_dict('linear'), 'no_such', 'regression',
    '[{"name": "x", "type": "numeric"}]')$$);
SELECT * FROM not_imported($$SELECT neural.import_weights('x', state_dict('linear'), '{"layers": []}', 'regression',
    '{"x": "numeric"}')$$);
SELECT * FROM not_imported($$SELECT neural.import_weights('x', state_dict('linear'), '{"layers": []}', 'clasification',
    '[{"name": "x", "type": "numeric"}]')$$);
SELECT * FROM not_imported($$SELECT neural.import_weights('x', state_dict('linear'), '{"layers": []}', 'classification',
    '[{"name": "x", "type": "numeric"}]', ARRAY['a', NULL])$$);
SELECT * FROM not_imported($$SELECT neural.import_weights('x', state_dict('linear'), '{"layers": []}', 'regression',
    '[{"name": "x", "type": "numeric"}]', options => '{"renam": {}}')$$);
SELECT * FROM not_imported($$SELECT neural.import_weights('x', NULL, '{"layers": []}', 'regression', '[]')$$);
SELECT * FROM not_imported($$SELECT neural.import_weights('a@b', state_dict('linear'), '{"layers": []}', 'regression', '[]')$$);

-- Granted by the administrator only.
CREATE ROLE regress_weights;
GRANT SELECT ON tensor TO regress_weights;
SET ROLE regress_weights;
SELECT * FROM not_imported($$SELECT neural.import_weights('mine', state_dict('linear'),
    '{"layers": [{"type": "output", "name": "fc"}]}', 'regression',
    '[{"name": "x1", "type": "numeric"}, {"name": "x2", "type": "numeric"}]')$$);
RESET ROLE;
GRANT EXECUTE ON FUNCTION neural.import_weights TO regress_weights;
SET ROLE regress_weights;
SELECT neural.import_weights('mine', state_dict('linear'),
    '{"layers": [{"type": "output", "name": "fc"}]}', 'regression',
    '[{"name": "x1", "type": "numeric"}, {"name": "x2", "type": "numeric"}]');
SELECT owner FROM neural.models WHERE name = 'mine';
SELECT * FROM not_imported($$SELECT neural.import_weights('linear', state_dict('linear'),
    '{"layers": [{"type": "output", "name": "fc"}]}', 'regression',
    '[{"name": "x1", "type": "numeric"}, {"name": "x2", "type": "numeric"}]')$$);
RESET ROLE;
REVOKE EXECUTE ON FUNCTION neural.import_weights FROM regress_weights;
DROP OWNED BY regress_weights;
DROP ROLE regress_weights;
