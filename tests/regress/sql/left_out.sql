-- A column that was left out is no feature, and what is left out is told, a line each.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA left_out;
SET search_path = left_out;
CREATE TABLE t AS
SELECT i AS id, 'k' AS const, NULL::float8 AS nothing, sin(i) AS x, (i * 7919 % 10007)::text AS balance,
       (i % 72)::text AS income, lpad((i % 60)::text, 5, '0') AS zip, (i % 5)::text AS grade, sin(i) > 0 AS y
FROM generate_series(1, 500) AS i;

-- Told whatever verbose says.
SELECT version FROM neural.train('m', 't', 'y', seed => 1, epochs => 2, options => '{"verbose": false}');
SELECT neural.train('named', 'SELECT x, income, y FROM t', 'y', seed => 1, epochs => 1, features => '{"income": "categorical"}',
    options => '{"verbose": false}') IS NOT NULL AS trained;
SELECT key AS column, value AS reason FROM neural.model_versions, jsonb_each_text(left_out)
WHERE model = 'm' ORDER BY key COLLATE "C";
SELECT jsonb_path_query_array(features, '$[*].name') AS features FROM neural.models WHERE name = 'm';

-- The notices are short, a line each.
SET client_min_messages = notice;
SELECT version FROM neural.train('told', 'SELECT x, id, const, y FROM t', 'y', seed => 1, epochs => 1, architecture => 'logistic', learning_rate => 1e-9,
    features => '{"id": "ignore"}', options => '{"initializer": "zeros"}');
SET client_min_messages = warning;

-- Not in the call order, not demanded of rows, ignored where it is there by name, with batches and without.
SELECT version FROM neural.train('p', 'SELECT id, const, x, nothing, y FROM t', 'y', seed => 1, epochs => 2, options => '{"verbose": false}');
SET neural.batch_scoring = on;
SELECT count(DISTINCT p) FROM (
    SELECT neural.predict('p', x) AS p FROM t WHERE id = 3
    UNION ALL SELECT neural.predict('p', t) FROM t WHERE id = 3
    UNION ALL SELECT neural.predict('p', q) FROM (SELECT x FROM t WHERE id = 3) AS q
    UNION ALL SELECT neural.predict('p', q) FROM (SELECT 'any'::text AS id, x FROM t WHERE id = 3) AS q) AS s;
SET neural.batch_scoring = off;
SELECT count(DISTINCT p) FROM (
    SELECT neural.predict('p', x) AS p FROM t WHERE id = 3
    UNION ALL SELECT neural.predict('p', t) FROM t WHERE id = 3
    UNION ALL SELECT neural.predict('p', q) FROM (SELECT x FROM t WHERE id = 3) AS q
    UNION ALL SELECT neural.predict('p', q) FROM (SELECT 'any'::text AS id, x FROM t WHERE id = 3) AS q) AS s;
RESET neural.batch_scoring;
SELECT neural.predict('p', 1, 'k', 0.5, NULL);
SELECT neural.create_function('f_p', 'p');
SELECT f_p(x => 0.5) = neural.predict('p', 0.5) AS same;
SELECT count(*) FROM neural.evaluate('p', 'SELECT x, y FROM t');
ALTER TABLE t ADD COLUMN score float8;
CALL neural.score_table('p', 't', 'score');
SELECT count(score) FROM t;

-- Later versions may have it or not; it stays no feature, and is told of.
SELECT version FROM neural.train('p', 'SELECT x, y FROM t', 'y', seed => 1, epochs => 2, options => '{"verbose": false}');
SET client_min_messages = notice;
SELECT version FROM neural.train('p', 'SELECT 1 + id % 7 AS const, x, y FROM t', 'y', seed => 1, epochs => 1, architecture => 'logistic', learning_rate => 1e-9,
    options => '{"initializer": "zeros"}');
SET client_min_messages = warning;
SELECT neural.predict('p', 0.5) IS NOT NULL AS still_one_feature;
SELECT version FROM neural.train('p', 'SELECT nothing, x, y FROM t', 'y', seed => 1, epochs => 1, options => '{"verbose": false, "warm_start": true}');
-- What is new is refused, and so is a treatment of what was left out.
SELECT neural.train('p', 'SELECT x, grade, y FROM t', 'y'); \echo :SQLSTATE
SELECT neural.train('p', 'SELECT x, id, y FROM t', 'y', features => '{"id": "numeric"}');
-- A feature of the earlier versions that is constant now keeps its place.
SELECT version FROM neural.train('c', 'SELECT x, grade, y FROM t', 'y', seed => 1, epochs => 2, options => '{"verbose": false}');
SELECT version FROM neural.train('c', 'SELECT x, ''1'' AS grade, y FROM t', 'y', seed => 1, epochs => 2, options => '{"verbose": false}');
SELECT neural.predict('c', 0.5, '1') = neural.predict('c', q) AS same FROM (SELECT 0.5 AS x) AS q;
-- It cannot be ignored, nor be what an option or the target names.
SELECT neural.train('d', 'SELECT x, grade, y FROM t', 'y', seed => 1, epochs => 1, options => '{"verbose": false}') IS NOT NULL AS trained;
SELECT neural.train('d', 'SELECT x, grade, y FROM t', 'y', features => '{"grade": "ignore"}');
SELECT neural.train('d', 'SELECT x, grade, y FROM t', 'y', options => '{"sample_weight": "x"}');
SELECT neural.train('d', 'SELECT x > 0 AS x, grade, y FROM t', 'y', options => '{"validation_split": "x"}');
SELECT neural.train('d', 'SELECT x, grade, y FROM t', 'y', options => '{"validation_group": "grade"}');
SELECT neural.train('d', 'SELECT x, grade FROM t', 'grade');

-- Features that no layer reads.
SELECT version FROM neural.train('unread', 'SELECT x, id % 9 AS n, grade, y FROM t', 'y', seed => 1, epochs => 1, options => '{"verbose": false}',
    architecture => '{"layers": [{"type": "input", "name": "a", "features": ["x", "n"]}, {"type": "dense", "units": 2}]}');
SELECT neural.predict('unread', 0.5, 3) IS NOT NULL AS two_features;

-- What is ignored is no feature either, and may come later by name.
SELECT version FROM neural.train('i', 'SELECT x, id, y FROM t', 'y', seed => 1, epochs => 1, features => '{"id": "ignore"}', options => '{"verbose": false}');
SELECT version FROM neural.train('i', 'SELECT x, id, y FROM t', 'y', seed => 1, epochs => 1, options => '{"verbose": false}');

-- A hint can be pasted.
SELECT neural.train('json', 'SELECT x, ''{}''::json AS "O''Hara ""x""", y FROM t', 'y'); \echo :SQLSTATE
SELECT version FROM neural.train('json', 'SELECT x, ''{}''::json AS "O''Hara ""x""", y FROM t', 'y', seed => 1, epochs => 1,
    features => '{"O''Hara \"x\"":"ignore"}', options => '{"verbose": false}');

\set VERBOSITY default
SET client_min_messages = warning;
RESET search_path;
DROP SCHEMA left_out CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
