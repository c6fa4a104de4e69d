-- A query of a training or an evaluation only reads.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA only_reads;
SET search_path = only_reads;
CREATE TABLE t AS SELECT sin(i) AS x, sin(i) > 0 AS y FROM generate_series(1, 200) AS i;
SELECT version FROM neural.train('m', 't', 'y', seed => 1, epochs => 1, options => '{"verbose": false}');
SELECT neural.train('m', 'DELETE FROM t RETURNING x, y', 'y'); \echo :SQLSTATE
SELECT neural.train('m', 'WITH gone AS (DELETE FROM t RETURNING x, y) SELECT * FROM gone', 'y');
SELECT neural.train('m', 'INSERT INTO t VALUES (1, true) RETURNING x, y', 'y');
SELECT neural.train('m', 'UPDATE t SET x = 0 RETURNING x, y', 'y');
SELECT * FROM neural.evaluate('m', 'DELETE FROM t RETURNING x, y');
SELECT * FROM neural.confusion_matrix('m', 'WITH gone AS (UPDATE t SET x = 0 RETURNING x, y) SELECT * FROM gone');
PREPARE gone AS DELETE FROM t RETURNING x, y;
SELECT * FROM neural.evaluate('m', 'EXECUTE gone');
SELECT * FROM neural.evaluate('m', 'EXPLAIN ANALYZE DELETE FROM t');
SELECT count(*), count(*) FILTER (WHERE x = 0) AS changed FROM t;
SELECT count(*) > 0 AS judged FROM neural.evaluate('m', 'TABLE t');
SELECT count(*) > 0 AS judged FROM neural.evaluate('m', 'SELECT x, y FROM t FOR UPDATE');
SELECT count(*) > 0 AS judged FROM neural.evaluate('m', 'VALUES (1.0, true)', 'column2');
-- What is wrong in it is said with it.
SELECT neural.train('m', 'SELECT x, nothing FROM t', 'y');
SELECT neural.train('m', 'SELEC x FROM t', 'y');
SELECT neural.train('m', 'SELECT 1 / (x - x)::int AS x, y FROM t', 'y');

\set VERBOSITY default
SET client_min_messages = warning;
RESET search_path;
DROP SCHEMA only_reads CASCADE;
SELECT count(neural.drop_model(name)) > 0 AS dropped FROM neural.models;
