-- Aggregates that the node below them computes: the plans, the bits, and what is left to PostgreSQL.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE numbers AS
SELECT i AS id, i % 3 AS branch, sin(i) AS a, CASE WHEN i % 7 <> 0 THEN cos(i) END AS b, i % 100 AS c, 'row ' || i AS name,
       sin(i) + cos(i * 3) > 0 AS y
FROM generate_series(1, 3000) AS i;
ANALYZE numbers;
SELECT version FROM neural.train('risk', 'SELECT a, b, c, y FROM numbers', 'y', epochs => 1, seed => 1,
    options => '{"verbose": false}');
SELECT neural.create_function('predict_risk', 'risk');

-- A query's rows with batches and without: their texts have all of a number's bits. Whether a node computes
-- aggregates.
CREATE FUNCTION both_ways(query text) RETURNS TABLE (aggregates text, rows int, same bool)
LANGUAGE plpgsql AS $$
DECLARE plan jsonb; batches text[]; one_by_one text[];
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    aggregates := (SELECT string_agg(node ->> 'Aggregates', '; ')
        FROM jsonb_path_query(plan, 'strict $.** ? (@."Custom Plan Provider" == "NeuralScore")') AS node);
    EXECUTE format('SELECT array_agg(r::text ORDER BY r::text) FROM (%s) AS r', query) INTO batches;
    SET LOCAL neural.batch_scoring = off;
    EXECUTE format('SELECT array_agg(r::text ORDER BY r::text) FROM (%s) AS r', query) INTO one_by_one;
    SET LOCAL neural.batch_scoring = on;
    rows := cardinality(batches);
    same := batches IS NOT DISTINCT FROM one_by_one;
    RETURN NEXT;
END $$;

EXPLAIN (COSTS OFF) SELECT avg(predict_risk(a, b, c)) FROM numbers;
EXPLAIN (COSTS OFF, VERBOSE)
SELECT count(*), count(b), 2 * sum(neural.predict('risk', a, b, c)) + sum(b), min(b), max(neural.predict('risk', a, b, c))
FROM numbers HAVING avg(neural.predict('risk', a, b, c)) > 0;
CREATE FUNCTION actual(query text) RETURNS TABLE (type text, rows int, scored int) LANGUAGE plpgsql AS $$
DECLARE plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) ' || query INTO plan;
    RETURN QUERY SELECT node ->> 'Node Type', (node ->> 'Actual Rows')::numeric::int, (node ->> 'Rows Scored')::int
        FROM jsonb_path_query(plan, 'strict $.** ? (exists(@."Node Type"))') AS node;
END $$;
SELECT * FROM actual('SELECT count(predict_risk(a, b, c)) FROM numbers WHERE branch = 1');
SELECT * FROM both_ways('SELECT avg(predict_risk(a, b, c)) FROM numbers');
SELECT * FROM both_ways('SELECT count(*), count(b), 2 * sum(predict_risk(a, b, c)) + sum(b), min(b), max(predict_risk(a, b, c)),
    sum(predict_risk(b, a, c)), avg(a), avg(b) FROM numbers HAVING avg(predict_risk(a, b, c)) > 0');
SELECT * FROM both_ways('SELECT count(name), count(neural.predict_class(''risk'', a, b, c)), min(predict_risk(a, b, c)) FROM numbers');
SELECT * FROM both_ways('SELECT avg(predict_risk(a, b, c)) FROM numbers HAVING avg(predict_risk(a, b, c)) < 0');
-- Of no rows, and of such as have no answer.
SELECT * FROM both_ways('SELECT count(*), count(predict_risk(a, b, c)), sum(predict_risk(a, b, c)), avg(predict_risk(a, b, c)),
    min(predict_risk(a, b, c)), max(a) FROM numbers WHERE id < 0');
SELECT * FROM both_ways('SELECT count(*), count(neural.predict(''risk'', n)), sum(neural.predict(''risk'', n)), avg(neural.predict(''risk'', n)),
    max(neural.predict(''risk'', n)) FROM generate_series(1, 9) AS g LEFT JOIN numbers AS n ON n.id = g AND n.id % 3 = 0');
SELECT * FROM both_ways('SELECT count(*), count(neural.predict(''risk'', n)), sum(neural.predict(''risk'', n)), avg(neural.predict(''risk'', n)),
    min(neural.predict(''risk'', n)) FROM generate_series(1, 9) AS g LEFT JOIN numbers AS n ON n.id = -g');
-- Over what a call needs of another, a filter, a join, a set of queries; below another node.
SELECT * FROM both_ways('SELECT avg(neural.predict(''risk'', predict_risk(a, b, c), b, c)) FROM numbers');
SELECT * FROM both_ways('SELECT avg(predict_risk(a, b, c)), count(*) FROM numbers WHERE predict_risk(a, b, c) > 0.5');
SELECT * FROM both_ways('SELECT avg(e), min(e) FROM (SELECT predict_risk(a, b, c) AS e, a FROM numbers OFFSET 0) AS t');
SELECT * FROM both_ways('SELECT sum(predict_risk(x.a, z.b, x.c)) FROM numbers AS x JOIN numbers AS z ON z.id = x.id + 1');
SELECT * FROM both_ways('SELECT avg(predict_risk(a, b, c)) FROM (SELECT * FROM numbers UNION ALL SELECT * FROM numbers) AS t');
SELECT * FROM both_ways('SELECT predict_risk(avg(predict_risk(a, b, c)), 1, 2) FROM numbers');
-- Anew for every row of another table, whether what changes is among the arguments or not; in a subquery, a
-- cursor, a prepared statement.
SELECT * FROM both_ways('SELECT g, s.* FROM generate_series(0, 3) AS g, LATERAL
    (SELECT sum(predict_risk(a, b, g)), count(*), avg(predict_risk(a, b, g)) FROM numbers WHERE branch = g OFFSET 0) AS s');
SELECT * FROM both_ways('SELECT g, s.* FROM generate_series(0, 3) AS g, LATERAL
    (SELECT sum(predict_risk(a, b, c)), g AS h, min(predict_risk(a, b, c)) FROM numbers WHERE id < 100 OFFSET 0) AS s');
SELECT * FROM both_ways('SELECT branch, (SELECT avg(predict_risk(r.a, r.b, r.c)) FROM numbers AS r WHERE r.branch = b.branch)
    FROM (VALUES (0), (1), (5)) AS b(branch)');
BEGIN;
DECLARE scroll SCROLL CURSOR FOR SELECT count(predict_risk(a, b, c)) FROM numbers;
FETCH ALL FROM scroll;
FETCH BACKWARD 1 FROM scroll;
COMMIT;
PREPARE scored (text, float8) AS SELECT avg(neural.predict($1, a + $2, b, c)) AS s, count(*) FROM numbers;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE scored ('risk', 1);
CREATE TABLE scores AS EXECUTE scored ('risk', 1);
INSERT INTO scores SELECT avg(neural.predict('risk', a + 1, b, c)), count(*) FROM numbers;
SELECT count(DISTINCT s), sum(count) FROM scores;
RESET plan_cache_mode;
DEALLOCATE scored;
SET neural.batch_rows = 7;
SELECT * FROM both_ways('SELECT avg(predict_risk(a, b, c)), min(b) FROM numbers');
RESET neural.batch_rows;

-- What is left to PostgreSQL's aggregates.
SELECT * FROM both_ways('SELECT avg(predict_risk(a, b, c)) FILTER (WHERE branch = 1) FROM numbers');
SELECT * FROM both_ways('SELECT count(DISTINCT predict_risk(a, b, c)) FROM numbers');
SELECT * FROM both_ways('SELECT sum(predict_risk(a, b, c) ORDER BY id) FROM numbers');
SELECT * FROM both_ways('SELECT avg(predict_risk(a, b, c)), stddev(predict_risk(a, b, c)) FROM numbers');
SELECT * FROM both_ways('SELECT avg(predict_risk(a, b, c)), avg(c) FROM numbers');
SELECT * FROM both_ways('SELECT avg(2 * predict_risk(a, b, c)) FROM numbers');
SELECT * FROM both_ways('SELECT avg(predict_risk(a, b, c)::real) FROM numbers');
SELECT * FROM both_ways('SELECT max(neural.predict_class(''risk'', a, b, c)) FROM numbers');
SELECT * FROM both_ways('SELECT branch, avg(predict_risk(a, b, c)) FROM numbers GROUP BY branch');
SELECT * FROM both_ways('SELECT avg(predict_risk(a, b, c)) FROM numbers WHERE branch = 1 GROUP BY branch');
SELECT * FROM both_ways('SELECT branch, avg(predict_risk(a, b, c)) FROM numbers GROUP BY ROLLUP (branch)');
SELECT * FROM both_ways('SELECT avg(predict_risk(a, b, c)) FROM numbers GROUP BY GROUPING SETS ((), ())');
SELECT * FROM both_ways('SELECT id, avg(predict_risk(a, b, c)) OVER (ORDER BY id) FROM numbers');
SELECT * FROM both_ways('SELECT avg(CASE WHEN branch = 1 THEN predict_risk(a, b, c) END) FROM numbers');
-- An aggregate of the same name elsewhere.
CREATE SCHEMA elsewhere;
CREATE AGGREGATE elsewhere.avg(float8) (sfunc = float8pl, stype = float8, initcond = '0');
SELECT * FROM both_ways('SELECT elsewhere.avg(predict_risk(a, b, c)) FROM numbers');

-- Numbers that add up to more than there are, infinite ones, and those that are none: each aggregate of each list.
CREATE TABLE lists (n int, place int, x float8);
INSERT INTO lists
SELECT n, place, x FROM (VALUES
    (1, '{1e200, 2e200}'::float8[]), (2, '{1e200, 1e200}'), (3, '{1e308, 1e308}'), (4, '{1e308, -1e308, 1e308}'),
    (5, '{Infinity, 1}'), (6, '{1, Infinity}'), (7, '{Infinity, -Infinity}'), (8, '{1, NaN, 2}'), (9, '{NaN}'),
    (10, '{NaN, 1, Infinity}'), (11, '{-0}'), (12, '{-0, 0}'), (13, '{0, -0}'), (14, '{0, -0, -0}'), (15, '{NULL, 3, NULL}'),
    (16, '{NULL}'), (17, '{-Infinity, 1e308, 1e308}'), (18, '{5e-324, 5e-324}'), (19, '{-1e308, -1e308}'), (20, '{NaN, 1e200, 2e200}'),
    (21, '{1e154, -1e154, 1e154}'), (22, '{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7}'), (23, '{1e200, NULL, 2e200}'), (24, '{-Infinity}')
) AS v(n, xs), LATERAL unnest(xs) WITH ORDINALITY AS u(x, place);
CREATE FUNCTION outcome(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE given text;
BEGIN
    EXECUTE query INTO given;
    RETURN coalesce(given, 'NULL');
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END $$;
CREATE FUNCTION outcomes(aggregate text, batches bool) RETURNS TABLE (n int, given text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('neural.batch_scoring', batches::text, true);
    RETURN QUERY SELECT g, outcome(format('SELECT encode(float8send(%s(x)), ''hex'') || '' '' || count(predict_risk(x, x, place))
        FROM (SELECT * FROM lists WHERE n = %s ORDER BY place OFFSET 0) AS l', aggregate, g)) FROM generate_series(1, 25) AS g;
END $$;
SELECT aggregate, count(*), count(*) FILTER (WHERE given LIKE '22003%') AS overflowed
FROM unnest('{sum,avg,min,max}'::text[]) AS aggregate, outcomes(aggregate, true) GROUP BY aggregate ORDER BY aggregate;
SELECT aggregate, a.n, a.given, b.given
FROM unnest('{sum,avg,min,max}'::text[]) AS aggregate, outcomes(aggregate, true) AS a JOIN outcomes(aggregate, false) AS b USING (n)
WHERE a.given <> b.given;
SELECT avg(x), count(predict_risk(x, x, place)) FROM lists WHERE n = 1;
SELECT sum(x), count(predict_risk(x, x, place)) FROM lists WHERE n = 1;
-- An error of the rows, and of the model.
SELECT sum(predict_risk(a, 100 / (id - 777), c)) FROM numbers;
SELECT sum(neural.predict('nobody', a)) FROM numbers;
SELECT avg(neural.predict('risk', a)) FROM numbers;
SELECT count(neural.predict('nobody', a)) FROM numbers WHERE id < 0;

-- In parallel workers the node gives what their own aggregates would.
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
ALTER TABLE numbers SET (parallel_workers = 2);
EXPLAIN (COSTS OFF, VERBOSE)
SELECT count(*), avg(neural.predict('risk', a, b, c)), 1 + sum(b) FROM numbers HAVING max(neural.predict('risk', a, b, c)) > 0;
SELECT count(*), count(predict_risk(a, b, c)), min(predict_risk(a, b, c)) = (SELECT min(predict_risk(a, b, c)) FROM numbers WHERE id > 0 OFFSET 0) AS least,
    round(avg(predict_risk(a, b, c))::numeric, 9) = round(avg(predict_risk(a, b, c)::numeric), 9) AS mean
FROM numbers;
SELECT count(*), count(predict_risk(a, b, c)), round(avg(predict_risk(a, b, c))::numeric, 9) = (SELECT round(avg(predict_risk(a, b, c)::numeric), 9) FROM numbers) AS mean,
    max(predict_risk(a, b, c)) = (SELECT max(p) FROM (SELECT predict_risk(a, b, c) AS p FROM numbers OFFSET 0) AS t) AS greatest
FROM numbers;
SELECT avg(x), count(predict_risk(x, x, place)) FROM lists WHERE n = 1;
SELECT g, s.count FROM generate_series(0, 2) AS g, LATERAL (SELECT count(predict_risk(a, b, g)) FROM numbers WHERE branch = g OFFSET 0) AS s ORDER BY g;
-- Parts of a table, each with its own.
SET enable_partitionwise_aggregate = on;
CREATE TABLE parts (LIKE numbers) PARTITION BY LIST (branch);
CREATE TABLE part_0 PARTITION OF parts FOR VALUES IN (0);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT * FROM numbers;
ANALYZE parts;
SET max_parallel_workers_per_gather = 0;
EXPLAIN (COSTS OFF) SELECT count(*), avg(predict_risk(a, b, c)) FROM parts;
SELECT * FROM both_ways('SELECT count(*), avg(predict_risk(a, b, c)), sum(predict_risk(a, b, c)), min(predict_risk(a, b, c)) FROM parts');
SELECT * FROM both_ways('SELECT count(*), count(predict_risk(a, b, c)), avg(predict_risk(a, b, c)) FROM parts WHERE id < 0');

DROP TABLE parts, lists, scores, numbers;
DROP SCHEMA elsewhere CASCADE;
DROP FUNCTION both_ways, actual, outcome, outcomes, predict_risk;
