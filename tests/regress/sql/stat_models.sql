-- neural.stat_models: how often models are called.
\set VERBOSITY terse
CREATE TABLE counted_rows AS SELECT i + 0.5::float8 AS a, (i % 3)::float8 AS b, i % 2 = 0 AS y FROM generate_series(1, 1000) AS i;
SELECT version FROM neural.train('counted', 'SELECT a, b, y FROM counted_rows', 'y', epochs => 1, seed => 1,
    options => '{"verbose": false}');
CREATE FUNCTION counts() RETURNS TABLE (version int, calls bigint, rows bigint, timed boolean, lately boolean)
    LANGUAGE sql AS $$
    SELECT version, calls, rows, seconds > 0, last_call > now() - interval '1 hour'
    FROM neural.stat_models WHERE model = 'counted' ORDER BY version
$$;

-- Training is no call, and one that was never called is there.
SELECT * FROM counts();
-- In batches, row by row, two places in a statement, by a condition for some rows only.
SELECT count(neural.predict('counted', a, b)) FROM counted_rows;
SELECT * FROM counts();
SET neural.batch_scoring = off;
SELECT count(neural.predict('counted', a, b)) FROM counted_rows;
RESET neural.batch_scoring;
SELECT * FROM counts();
SELECT count(neural.predict('counted', a, b)), count(neural.predict_class('counted', a, b)) FROM counted_rows;
SELECT count(CASE WHEN a <= 10 THEN neural.predict('counted', a, b) END) FROM counted_rows;
SELECT neural.predict('counted', 1, 2) IS NOT NULL;
SELECT * FROM counts();
-- Each version by itself, by whatever name it is called; rows that are not there are none.
SELECT version FROM neural.train('counted', 'SELECT a, b, y FROM counted_rows', 'y', epochs => 1, seed => 2,
    options => '{"verbose": false}');
SELECT count(neural.predict('counted@1', a, b)) FROM counted_rows WHERE a <= 5;
SELECT count(neural.predict_pinned((SELECT sha256 FROM neural.model_versions WHERE model = 'counted' AND version = 2),
    a, b)) FROM counted_rows WHERE a <= 7;
SELECT count(neural.predict('counted', r)) FROM generate_series(1, 5) AS i LEFT JOIN counted_rows r ON r.a = i + 0.5 AND i < 3;
SELECT * FROM counts();
-- What is rolled back was computed.
BEGIN;
SELECT count(neural.predict('counted', a, b)) FROM counted_rows WHERE a <= 3;
ROLLBACK;
SELECT * FROM counts();
-- Parallel workers' rows are their leader's call.
CREATE TABLE counted_many AS SELECT i + 0.5::float8 AS a, (i % 3)::float8 AS b FROM generate_series(1, 20000) AS i;
ANALYZE counted_many;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT neural.reset_stat_models('counted');
SELECT * FROM counts();
SELECT count(neural.predict('counted', a, b)) FROM counted_many;
SELECT version, rows FROM counts();
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
-- Who may use a model sees it, and who manages it forgets.
CREATE ROLE counting_guest;
SELECT neural.grant_model('counted', 'counting_guest');
SET ROLE counting_guest;
SELECT model, version, rows FROM neural.stat_models ORDER BY version;
SELECT neural.reset_stat_models('counted');
SELECT neural.reset_stat_models();
SELECT model, version, rows FROM neural.stat_models ORDER BY version;
RESET ROLE;
SELECT neural.reset_stat_models('no such model');
SELECT neural.reset_stat_models();
SELECT * FROM counts();
-- A name that is taken again begins anew.
SELECT count(neural.predict('counted', a, b)) FROM counted_rows WHERE a <= 3;
SELECT neural.drop_model('counted');
SELECT * FROM counts();
SELECT version FROM neural.train('counted', 'SELECT a, b, y FROM counted_rows', 'y', epochs => 1, seed => 2,
    options => '{"verbose": false}');
SELECT * FROM counts();
SELECT neural.drop_model('counted');
DROP ROLE counting_guest;
DROP FUNCTION counts();
DROP TABLE counted_rows, counted_many;
