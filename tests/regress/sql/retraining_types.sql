-- A retraining takes any number for a number and any text for a text; of dates and times only the same.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA retraining_types;
SET search_path = retraining_types;
CREATE TABLE t AS
SELECT (i % 50)::int AS n, (i % 7) / 2.0 AS f, (ARRAY['car', 'house'])[1 + i % 2] AS s, date '2024-01-01' + i % 30 AS d,
       timestamp '2024-01-01' + i % 30 * interval '1 hour' AS at, ARRAY[i % 5, i % 3] AS v, i % 2 = 0 AS b, i % 50 > 25 AS y
FROM generate_series(1, 400) AS i;
SELECT version FROM neural.train('m', 't', 'y', seed => 1, epochs => 1, options => '{"verbose": false}');
CREATE FUNCTION again(list text, options jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
    RETURN (SELECT 'version ' || version FROM neural.train('m', 'SELECT ' || list || ', y FROM t', 'y', seed => 1, epochs => 1,
        options => '{"verbose": false}' || options));
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT again('n::bigint, f::float8, s::varchar(9), d, at, v::bigint[], b');
SELECT again('n::numeric(5,1), f::int, s::char(9), d, at, v::float8[], b');
SELECT again('n::smallint, f::real, s::name, d, at, v, b');
SELECT again('n::numeric, f, s, d, at, v, b', '{"warm_start": true}');
SELECT again('n, f, s, d, at::timestamptz, v, b');
SELECT again('n, f, s, d, at::date AS at, v, b');
SELECT again('n, f, s, d::timestamp AS d, at, v, b');
SELECT again('n::text, f, s, d, at, v, b');
SELECT again('n, f, s, d, at, v, b::int AS b');
SELECT again('n, f, 1 AS s, d, at, v, b');
-- What was a feature is not taken for an identifier because it comes as another type now.
SELECT version FROM neural.train('fine', 'SELECT i * 1.25 AS amount, i % 2 = 0 AS y FROM generate_series(1, 300) AS i', 'y', seed => 1, epochs => 1,
    options => '{"verbose": false}');
SELECT version FROM neural.train('fine', 'SELECT i AS amount, i % 2 = 0 AS y FROM generate_series(1, 300) AS i', 'y', seed => 1, epochs => 1,
    options => '{"verbose": false}');
SELECT left_out FROM neural.model_versions WHERE model = 'fine' ORDER BY version;
-- The model's types stay those of its first version.
SELECT jsonb_path_query_array(features, '$[*].type') AS types FROM neural.models WHERE name = 'm';
SELECT count(DISTINCT p) FROM (SELECT neural.predict('m', t) AS p FROM t UNION ALL
    SELECT neural.predict('m', n::bigint, f::float8, s::varchar, d, at, v, b) FROM t) AS s
HAVING count(DISTINCT p) <= 400;

\set VERBOSITY default
SET client_min_messages = warning;
RESET search_path;
DROP SCHEMA retraining_types CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
