-- What a call costs, as the planner sees it: in proportion to the network's arithmetic.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
SET client_min_messages = warning;

CREATE TABLE applications AS
SELECT i AS id, sin(i) AS a, cos(i) AS b, sin(i) + cos(i) > 0.3 AS y
FROM generate_series(1, 5000) AS i;
CREATE TABLE few AS SELECT * FROM applications LIMIT 100;
ANALYZE applications, few;
SELECT version FROM neural.train('small', 'SELECT a, b, y FROM few', 'y', epochs => 1, seed => 1,
    architecture => '{"layers": [{"type": "dense", "units": 4}]}', options => '{"verbose": false}');
SELECT version FROM neural.train('large', 'SELECT a, b, y FROM few', 'y', epochs => 1, seed => 1,
    architecture => '{"layers": [{"type": "dense", "units": 512}, {"type": "dense", "units": 512}]}',
    options => '{"verbose": false}');
SELECT neural.create_function('large_score', 'large');
SELECT neural.create_function('small_score', 'small');
SELECT neural.create_function('large_pinned', 'large', version => 1);

-- A parallel plan is chosen when it pays. Only what it costs keeps small tables from it here.
SET min_parallel_table_scan_size = 0;
CREATE FUNCTION is_parallel(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan @? 'strict $.** ? (@."Node Type" == "Gather")';
END $$;
SELECT model, tab, is_parallel(format('SELECT avg(neural.predict(%L, a, b)) FROM %I', model, tab))
FROM unnest('{small,large}'::text[]) AS model, unnest('{few,applications}'::text[]) AS tab
ORDER BY model DESC, tab DESC;
SELECT is_parallel('SELECT avg(large_score(a, b)) FROM applications') AS created,
       is_parallel('SELECT avg(large_pinned(a, b)) FROM applications') AS pinned,
       is_parallel('SELECT avg(small_score(a, b)) FROM applications') AS created_small,
       is_parallel('SELECT avg(neural.predict(''large'', t)) FROM applications t') AS rows;
RESET min_parallel_table_scan_size;

-- Cheap filters run first, however they are written.
SET neural.batch_scoring = off;
CREATE FUNCTION slow(id int) RETURNS bool LANGUAGE plpgsql COST 100 AS 'BEGIN RETURN id % 2 = 0; END';
EXPLAIN (COSTS OFF)
SELECT id FROM applications WHERE neural.predict('small', a, b) > 0.5 AND id % 7 = 0;
EXPLAIN (COSTS OFF)
SELECT id FROM applications WHERE id % 7 = 0 AND neural.predict('small', a, b) > 0.5;
EXPLAIN (COSTS OFF)
SELECT id FROM applications WHERE slow(id) AND neural.predict('small', a, b) > 0.5;
EXPLAIN (COSTS OFF)
SELECT id FROM applications WHERE slow(id) AND small_score(a, b) > 0.5 AND id % 7 = 0;
EXPLAIN (COSTS OFF)
SELECT id FROM applications WHERE neural.predict('large', a, b) > 0.5 AND slow(id);
EXPLAIN (COSTS OFF)
SELECT id FROM applications
WHERE large_score(a, b) > 0.5 AND neural.predict_class('small', a, b) = 'true' AND slow(id);
RESET neural.batch_scoring;
EXPLAIN (COSTS OFF)
SELECT id FROM applications WHERE neural.predict('large', a, b) > 0.5 AND id % 7 = 0;

-- A version of a database that did not know its products is judged by its weights.
UPDATE _neural.version SET products = NULL;
SET min_parallel_table_scan_size = 0;
SELECT is_parallel('SELECT avg(neural.predict(''small'', a, b)) FROM applications') AS small,
       is_parallel('SELECT avg(neural.predict(''large'', a, b)) FROM applications') AS large;
RESET min_parallel_table_scan_size;

DROP TABLE applications, few;
DROP FUNCTION large_score, large_pinned, small_score, slow, is_parallel;
SELECT neural.drop_model(model) FROM unnest('{small,large}'::text[]) AS model;
