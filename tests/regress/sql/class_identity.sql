-- A class is one value where SQL's = says so, in training, calls, judgement and tables alike.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA class_identity;
SET search_path = class_identity;

CREATE FUNCTION fails(statement text) RETURNS TABLE (code text, message text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, 'it went through'::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;
-- Trains on column y and gives the classes; the target of a query is whatever it says.
CREATE FUNCTION classes_of(model text, y text, task text DEFAULT NULL, further jsonb DEFAULT '{}') RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN
    PERFORM neural.train(model, format('SELECT i %% 4 + 0.01 * sin(i) AS x, %s AS y FROM generate_series(1, 240) AS i', y), 'y', task,
        epochs => 1, seed => 1, options => further || '{"verbose": false, "members": 1}');
    RETURN neural.classes(model);
END $$;

-- Integers are told apart as integers, beyond where a float could, by their sign, and at both ends.
SELECT classes_of('big', '9007199254740992 + i % 3');
SELECT classes_of('two', '9007199254740992 + i % 2', NULL, '{"positive_class": "9007199254740993"}');
SELECT classes_of('ends', '(ARRAY[-9223372036854775808, -9223372036854775807, 9223372036854775806, 9223372036854775807])[1 + i % 4]');
SELECT classes_of('told', '9007199254740992 + i % 3', 'classification') = neural.classes('big') AS as_told;
-- A neighbour is none of them, and is a row's own truth where it is one.
CREATE VIEW big AS SELECT i % 4 + 0.01 * sin(i) AS x, 9007199254740992 + i % 3 AS y FROM generate_series(1, 240) AS i;
SELECT code, message FROM fails($$SELECT neural.evaluate('big', 'SELECT x, y + 1 AS y FROM big')$$);
SELECT code, message FROM fails($$SELECT neural.confusion_matrix('told', 'SELECT x, y + 1 AS y FROM big')$$);
SELECT count(DISTINCT actual) AS actual, sum(count) AS rows FROM neural.confusion_matrix('big', 'big');
SELECT abs(e.value - s.share) < 1e-12 AS as_sql_says FROM neural.evaluate('big', 'big') AS e,
    (SELECT avg((neural.predict_class('big', x) = y::text)::int) AS share FROM big) AS s WHERE e.metric = 'accuracy';
CREATE TABLE scored AS SELECT x, y, NULL::bigint AS guess FROM big;
CALL neural.score_table('big', 'scored', 'guess');
SELECT count(*) FILTER (WHERE guess::text <> neural.predict_class('big', x)) AS differ FROM scored;
-- Regressions of large integers are regressions still.
SELECT classes_of('many', '9007199254740992 + i % 3 + i * 1000') IS NULL AS none FROM fails('SELECT 1') WHERE false;
SELECT code, message FROM fails($$SELECT classes_of('many', '9007199254740992 + i * 1000')$$);
SELECT task FROM neural.models WHERE name = 'big';

-- Sequences: the target is one in all steps, as an integer.
CREATE TABLE steps AS SELECT s, t, sin(s * t) AS x, 9007199254740992 + s % 2 AS y FROM generate_series(1, 60) AS s, generate_series(1, 3) AS t;
SELECT version FROM neural.train('steps', 'steps', 'y', epochs => 1, seed => 1,
    options => '{"sequence_by": "s", "order_by": "t", "verbose": false, "positive_class": "9007199254740993"}');
SELECT neural.classes('steps');
SELECT message FROM fails($$SELECT neural.train('mixed', 'SELECT s, t, x, CASE WHEN s = 5 THEN 9007199254740992 + t % 2 ELSE y END AS y FROM steps', 'y',
    epochs => 1, options => '{"sequence_by": "s", "order_by": "t", "verbose": false}')$$);
SELECT message FROM fails($$SELECT neural.evaluate('steps', 'SELECT s, t, x, CASE WHEN s = 5 THEN 9007199254740992 + t % 2 ELSE y END AS y FROM steps')$$);
SELECT code, message FROM fails($$SELECT neural.evaluate('steps', 'SELECT s, t, x, y + 1 AS y FROM steps')$$);

-- Numbers that are equal are one class, written as the shortest of them is.
SELECT classes_of('numeric', '(ARRAY[1.0, 1.00, 2, 2.0])[1 + i % 4]', 'classification', '{"positive_class": "2.00"}'), positive_class FROM neural.models WHERE name = 'numeric';
SELECT message FROM fails($$SELECT classes_of('one', '(ARRAY[0.0, 0.00])[1 + i % 2]', 'classification')$$);
SELECT message FROM fails($$SELECT classes_of('zero', '(ARRAY[0, ''-0''])[1 + i % 2]::float8', 'classification')$$);
SELECT classes_of('tiny', '(ARRAY[0.1, 0.10000000000000000001])[1 + i % 2]', 'classification', '{"positive_class": "0.1"}') AS two_numerics;
SELECT classes_of('scale', '(i % 3)::numeric(4, 2)', 'classification');
CREATE VIEW scale AS SELECT i % 4 + 0.01 * sin(i) AS x, i % 3 AS y FROM generate_series(1, 240) AS i;
SELECT count(*) AS cells, sum(count) AS rows, count(DISTINCT actual) AS actual FROM neural.confusion_matrix('scale', 'scale');
SELECT (SELECT value FROM neural.evaluate('scale', 'scale') WHERE metric = 'accuracy')
     = (SELECT value FROM neural.evaluate('scale', 'SELECT x, y::float8 AS y FROM scale') WHERE metric = 'accuracy') AS same_by_any_type;
CREATE TABLE scaled AS SELECT x, NULL::int AS whole, NULL::smallint AS small, NULL::text AS text FROM scale;
CALL neural.score_table('scale', 'scaled', 'whole');
CALL neural.score_table('scale', 'scaled', 'small');
CALL neural.score_table('scale', 'scaled', 'text');
SELECT count(*) AS rows, count(*) FILTER (WHERE whole = small AND whole = text::numeric) AS agree FROM scaled;
SELECT message FROM fails($$SELECT neural.evaluate('scale', 'SELECT x, y + 0.5 AS y FROM scale')$$);

-- Texts are PostgreSQL's own, whatever the session is set to.
SET extra_float_digits = -5;
SET datestyle = 'German';
SET timezone = 'America/New_York';
SELECT classes_of('real', '(ARRAY[1e15, 0.1, 1234567, 123456, -2.5e-7])[1 + i % 5]::real', 'classification');
SELECT classes_of('double', '(ARRAY[1e15, 0.1, 1e14, 999999999999999.9, 1e-5, 1e300])[1 + i % 6]::float8', 'classification');
SELECT classes_of('moment', '(ARRAY[timestamptz ''2024-01-01 00:00:00.5+00'', ''2024-07-01 00:00+00'', ''infinity''])[1 + i % 3]', 'classification');
SELECT classes_of('local', '(ARRAY[timestamp ''2024-01-01 00:00:00.5'', ''2024-07-01 00:00'', ''0044-03-15 12:00 BC''])[1 + i % 3]', 'classification');
SELECT classes_of('day', '(ARRAY[date ''2024-01-01'', ''2024-07-01'', ''-infinity''])[1 + i % 3]', 'classification');
RESET ALL;
SET client_min_messages = warning;
SELECT neural.classes('real') <@ ARRAY(SELECT v::text FROM unnest(ARRAY[1e15, 0.1, 1234567, 123456, -2.5e-7]::real[]) v) AS as_postgresql;
SELECT sum(count) AS rows FROM neural.confusion_matrix('moment', $$SELECT i AS x, timestamptz '2024-07-01 02:00+02' AS y FROM generate_series(1, 5) i$$);
SELECT sum(count) AS rows FROM neural.confusion_matrix('real', $$SELECT i AS x, 1000000000000000 AS y FROM generate_series(1, 5) i$$);

-- What an import calls its classes goes for truth values and numbers of the same value.
CREATE FUNCTION little_endian(bytes bytea) RETURNS bytea
RETURN (SELECT string_agg(substring(bytes FROM i FOR 1), '' ORDER BY i DESC) FROM generate_series(1, length(bytes)) i);
CREATE FUNCTION linear(shape text, bias text, VARIADIC numbers real[]) RETURNS bytea LANGUAGE sql AS $$
    WITH h AS (SELECT convert_to(format('{"out.weight":{"dtype":"F32","shape":%s,"data_offsets":[0,%s]},"out.bias":{"dtype":"F32","shape":%s,"data_offsets":[%s,%s]}}',
        shape, 2 * cardinality(numbers), bias, 2 * cardinality(numbers), 4 * cardinality(numbers)), 'UTF8') AS header)
    SELECT little_endian(int8send(length(header))) || header || (SELECT string_agg(little_endian(float4send(n)), '' ORDER BY i) FROM unnest(numbers) WITH ORDINALITY u(n, i)) FROM h
$$;
CREATE FUNCTION imported(model text, classes text[], options jsonb DEFAULT '{}') RETURNS int LANGUAGE sql AS $$
    SELECT neural.import_weights(model, linear('[1, 1]', '[1]', 1, 0), '{"layers": [{"type": "output", "name": "out"}]}', 'classification',
        '[{"name": "x", "type": "numeric"}]', classes, options) $$;
SELECT imported('truth', '{false,true}'), imported('bits', '{0,1}');
CREATE VIEW truths AS SELECT sin(i) AS x, sin(i) > 0 AS y FROM generate_series(1, 100) AS i;
SELECT m AS model, (SELECT value FROM neural.evaluate(m, 'truths', 'y') WHERE metric = 'accuracy') AS bools,
    (SELECT value FROM neural.evaluate(m, 'SELECT x, y::int::numeric(3, 1) AS y FROM truths', 'y') WHERE metric = 'accuracy') AS numerics
FROM unnest(ARRAY['truth', 'bits']) AS m;
SELECT version, metrics -> 'accuracy' AS accuracy FROM neural.train('truth', 'truths', 'y', epochs => 1, learning_rate => 1e-6, seed => 1, options => '{"warm_start": true, "verbose": false}');
SELECT version, metrics -> 'accuracy' AS accuracy FROM neural.train('bits', 'truths', 'y', epochs => 1, learning_rate => 1e-6, seed => 1, options => '{"warm_start": true, "verbose": false}');
SELECT neural.classes('truth'), neural.classes('bits'), count(*) FILTER (WHERE metric = 'accuracy' AND value = 1) AS as_good FROM neural.evaluate('bits', 'truths');
RESET search_path;
DROP SCHEMA class_identity CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
