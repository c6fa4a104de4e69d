-- A level is found by its value, whatever numeric type a call gives it in, row by row and in batches.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA level_identity;
SET search_path = level_identity;
-- The library is loaded from here on, so that queries are scored in batches.
SELECT count(*) > 0 AS loaded FROM neural.architectures;

-- A model of one categorical column c, whose levels decide, and a row's score for each way to give a level.
CREATE FUNCTION train_on(model text, levels text, further text DEFAULT '') RETURNS text LANGUAGE sql AS $$
    SELECT model FROM neural.train(model, format('SELECT (%s)[1 + i %% 3] AS c, i %% 3 = 0 AS y FROM generate_series(1, 300) AS i', levels), 'y',
        epochs => 20, seed => 1, features => '{"c": "categorical"}', options => '{"verbose": false, "members": 1}') $$;
SELECT train_on('bigint', 'ARRAY[1000000000000000, 1000000, 7]::bigint[]'),
       train_on('double', 'ARRAY[1e15, 1000000, 0.1]::float8[]'),
       train_on('real', 'ARRAY[1e15, 1000000, 0.1]::real[]'),
       train_on('numeric', 'ARRAY[1000000000000000.0, 1000000.00, 0.10]'),
       train_on('smallint', 'ARRAY[1, 2, 3]::smallint[]');
CREATE TABLE given AS SELECT 1000000000000000 AS b, 1e15::float8 AS d, 1e15::real AS r, 1000000000000000.000 AS n FROM generate_series(1, 3);
CREATE FUNCTION one_score(model text, VARIADIC columns text[]) RETURNS TABLE (batches text, scores bigint, high bool) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH batches IN ARRAY ARRAY['on', 'off'] LOOP
        PERFORM set_config('neural.batch_scoring', batches, true);
        RETURN QUERY EXECUTE format('SELECT %L, count(DISTINCT s), bool_and(s > 0.5) FROM (%s) AS all_ways(s)', batches,
            (SELECT string_agg(format('SELECT neural.predict(%L, %s) FROM given', model, c), ' UNION ALL ') FROM unnest(columns) AS c));
    END LOOP;
END $$;
SELECT m AS model, o.* FROM unnest(ARRAY['bigint', 'double', 'real', 'numeric']) AS m, one_score(m, 'b', 'd', 'r', 'n', '''1000000000000000''') AS o;
SELECT m AS model, o.* FROM unnest(ARRAY['bigint', 'double', 'real', 'numeric']) AS m,
    one_score(m, '1000000', '1000000::bigint', '1e6::real', '1e6::float8', '1000000.0') AS o;
SELECT m AS model, o.* FROM unnest(ARRAY['double', 'real', 'numeric']) AS m, one_score(m, '0.1', '0.1::real', '0.1::float8', '0.100') AS o;
-- What a real is in double precision is that real, and another number than 0.1.
SELECT o.* FROM one_score('real', '0.1::real', '0.1::real::float8') AS o;
SELECT neural.predict('double', 0.1::real::float8) <> neural.predict('double', 0.1) AS another;
SELECT o.* FROM one_score('smallint', '3::smallint', '3', '3::bigint', '3::real', '3.0', '3e0::float8', '''3''') AS o;
-- A neighbour is another level.
SELECT neural.predict('bigint', 1000000000000001) <> neural.predict('bigint', 1000000000000000) AS other,
       neural.predict('bigint', 7.5) = neural.predict('bigint', 8) AS other_too;

-- 0 and -0 are one, in training and in calls.
SELECT train_on('zero', 'ARRAY[0, ''-0'', 1]::float8[]');
SELECT jsonb_path_query(features, '$.**.levels') AS levels FROM neural.models WHERE name = 'zero';
SELECT o.* FROM one_score('zero', '0::float8', '''-0''::float8', '0', '''-0''::real', '0.0') AS o;

-- Levels that are listed are numbers, too.
SELECT version FROM neural.train('listed', 'SELECT 1 + i % 3 AS c, i % 3 = 0 AS y FROM generate_series(1, 300) AS i', 'y', epochs => 20, seed => 1,
    features => '{"c": {"type": "categorical", "levels": ["1.0", "2", "3e0"]}}', options => '{"verbose": false, "members": 1}');
SELECT neural.predict('listed', 1) > 0.9 AS yes, neural.predict('listed', 3) < 0.1 AS no;

-- Blanks at the end of char(n) do not count, in whatever type they come.
SELECT train_on('padded', 'ARRAY[''car'', ''boat'', ''house'']::char(6)[]');
SELECT o.* FROM one_score('padded', '''car   ''::text', '''car''::text', '''car''::char(9)', '''car  ''::varchar', '''car''') AS o;
-- Of text they do.
SELECT train_on('text', 'ARRAY[''car'', ''boat'', ''house'']');
SELECT neural.predict('text', 'car  '::text) <> neural.predict('text', 'car'::text) AS another;
RESET search_path;
DROP SCHEMA level_identity CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
