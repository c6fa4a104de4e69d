-- Arrays are read in double precision until they are scaled: what is learnt from large numbers that differ little, and
-- what is given for them, is the same in arrays as in columns.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA array_precision;
SET search_path = array_precision;

-- An identity over numbers with a mean far from 0.
CREATE FUNCTION little_endian(b bytea) RETURNS bytea LANGUAGE sql AS
    $f$ SELECT string_agg(substring(b FROM i FOR 1), '' ORDER BY i DESC) FROM generate_series(1, length(b)) AS i $f$;
CREATE FUNCTION identity(model text, features jsonb, task text DEFAULT 'regression') RETURNS int LANGUAGE sql AS $f$
    SELECT neural.import_weights(model, little_endian(int8send(length(h))) || convert_to(h, 'UTF8') || little_endian(float4send(0)) || little_endian(float4send(1)),
        '{"layers": [{"type": "output", "name": "fc"}]}', task, features)
    FROM (SELECT '{"fc.bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"fc.weight":{"dtype":"F32","shape":[1,1],"data_offsets":[4,8]}}' AS h) AS s $f$;
SELECT identity('vector', '[{"name": "x", "type": "vector", "length": 1, "sql_type": "float8[]", "mean": 16777216, "std": 1}]'),
       identity('integers', '[{"name": "x", "type": "vector", "length": 1, "sql_type": "bigint[]", "mean": 9007199254740000, "std": 1}]'),
       identity('numerics', '[{"name": "x", "type": "vector", "length": 1, "sql_type": "numeric[]", "mean": 1e15, "std": 0.5}]'),
       identity('reals', '[{"name": "x", "type": "vector", "length": 1, "mean": 16777216, "std": 1}]');
SELECT neural.predict('vector', ARRAY[16777217::float8]) AS double, neural.predict('vector', ARRAY[16777217]) AS integer,
       neural.predict('vector', ARRAY[16777217::bigint]) AS bigint, neural.predict('vector', ARRAY[16777217.5]) AS numeric,
       neural.predict('vector', '{16777217.25}') AS literal, neural.predict('vector', ARRAY[16777218::real]) AS real,
       neural.predict('vector', ARRAY[NULL]::float8[]) AS missing, neural.predict('vector', NULL) AS none;
SELECT neural.predict('integers', ARRAY[9007199254740991]) AS integers, neural.predict('numerics', ARRAY[1e15 + 0.25]) AS numerics,
       neural.predict('reals', ARRAY[16777217::float8]) AS reals;
SELECT neural.predict('vector', ARRAY['Infinity'::float8]) AS up, neural.predict('vector', ARRAY['-Infinity'::float8]) AS down,
       neural.predict('vector', ARRAY[1e300::float8]) = neural.predict('vector', ARRAY[1e100::float8]) AS far;

-- Clicks within ten seconds of one moment: as columns, as a vector, as the steps of an array, as the rows of a long table.
-- What counts is on which side of a second they are.
CREATE TABLE clicks AS
SELECT i AS id, 1700000010 + 5 * sin(i) AS t1, 1700000030 + 5 * cos(i * 7) AS t2, sin(i) > 0 AS y FROM generate_series(1, 600) AS i;
CREATE TABLE long AS SELECT id, n, t, y FROM clicks, LATERAL (VALUES (1, t1), (2, t2)) AS s (n, t);
SELECT m.name, (t.metrics ->> 'auc')::float8 > 0.95 AS learnt FROM (VALUES
    ('columns', 'SELECT t1, t2, y FROM clicks', NULL, '{}', NULL),
    ('array', 'SELECT ARRAY[t1, t2] AS t, y FROM clicks', NULL, '{}', NULL),
    ('bigints', 'SELECT ARRAY[(1e6 * t1)::bigint, (1e6 * t2)::bigint] AS t, y FROM clicks', NULL, '{}', NULL),
    ('decimals', 'SELECT ARRAY[t1::numeric(20, 6), t2::numeric(20, 6)] AS t, y FROM clicks', NULL, '{}', NULL),
    ('steps', 'SELECT ARRAY[t1, t2] AS t, y FROM clicks', '{"t": "sequence"}', '{}', 20),
    ('rows', 'long', NULL, '{"sequence_by": "id", "order_by": "n"}', 20)) AS m (name, query, features, options, epochs),
    LATERAL neural.train(m.name, m.query, 'y', features => m.features::jsonb, epochs => m.epochs, seed => 1,
        options => m.options::jsonb || '{"verbose": false}') AS t;
-- What a vector's numbers become is what they become as columns.
SELECT key, jsonb_agg(f.fitted -> key ORDER BY f.name) = (SELECT features -> 0 -> 'fitted' -> key FROM neural.models WHERE name = 'array') AS same
FROM neural.models AS m, jsonb_to_recordset(features) AS f (name text, fitted jsonb), unnest(ARRAY['center', 'divisor', 'low', 'high']) AS key
WHERE m.name = 'columns' GROUP BY key ORDER BY key;
-- The same bits in batches and row by row, by position, as rows and by created functions.
SELECT neural.create_function('f_array', 'array'), neural.create_function('f_steps', 'steps');
CREATE VIEW answers AS
SELECT count(*) AS rows, count(DISTINCT a) > 1 AS different, bool_and(a = b AND b = c) AS same, bool_and(d = e) AS same_steps, md5(string_agg(a::text || d::text, ',' ORDER BY id)) AS bits
FROM (SELECT id, neural.predict('array', ARRAY[t1, t2]) AS a, neural.predict('array', r) AS b, f_array(ARRAY[t1, t2]) AS c,
             neural.predict('steps', ARRAY[t1, t2]) AS d, f_steps(ARRAY[t1, t2]) AS e
      FROM (SELECT id, t1, t2, ARRAY[t1, t2] AS t FROM clicks) AS r) AS s;
SELECT rows, different, same, same_steps FROM answers;
SELECT bits FROM answers \gset
SET neural.batch_scoring = off;
SELECT bits = :'bits' AS same_bits FROM answers;
RESET neural.batch_scoring;
-- Judged as called; from a temporary file the same version as from memory.
SELECT abs((SELECT value FROM neural.evaluate('array', 'SELECT ARRAY[t1, t2] AS t, y FROM clicks') WHERE metric = 'auc')
           - (SELECT neural.auc(neural.predict('array', ARRAY[t1, t2]), y) FROM clicks)) < 1e-12 AS as_called;
CREATE TABLE many AS SELECT ARRAY[t1, t2 + n] AS t, y FROM clicks, generate_series(1, 40) AS n;
SELECT version FROM neural.train('many', 'many', 'y', epochs => 1, seed => 1, architecture => '{"layers": [{"type": "dense", "units": 4}]}', options => '{"verbose": false}');
SET neural.max_memory = '3MB';
SELECT version FROM neural.train('many', 'many', 'y', epochs => 1, seed => 1, architecture => '{"layers": [{"type": "dense", "units": 4}]}', options => '{"verbose": false}');
RESET neural.max_memory;
SELECT count(DISTINCT sha256) AS versions FROM neural.model_versions WHERE model = 'many';
-- A warm start and an exported copy go on with it.
SELECT version FROM neural.train('array', 'SELECT ARRAY[t1, t2] AS t, y FROM clicks', 'y', epochs => 1, seed => 2, options => '{"warm_start": true, "verbose": false}');
SELECT neural.import_model('copy', neural.export_model('array'));
SELECT bool_and(neural.predict('copy', ARRAY[t1, t2]) = neural.predict('array', ARRAY[t1, t2])) AS copied FROM clicks;

-- A real is what it is: an array of them is read as before, and any numbers go for them.
SELECT version FROM neural.train('real', 'SELECT ARRAY[sin(id)::real, cos(id)::real] AS t, y FROM clicks', 'y', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT bool_and(neural.predict('real', ARRAY[sin(id)::real, cos(id)::real]) = neural.predict('real', ARRAY[sin(id)::real, cos(id)::real]::float8[])) AS same FROM clicks;
RESET search_path;
DROP SCHEMA array_precision CASCADE;
SELECT count(neural.drop_model(name)) FROM neural.models;
