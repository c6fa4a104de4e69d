-- The judging aggregates: values, NULLs, degenerate data, windows, shared states, parallel plans.
CREATE TABLE judged (id int, part int, score float8, label bool, predicted float8, actual float8);
INSERT INTO judged VALUES
    (1, 1, 0.1, false, 1.0, 1.5), (2, 1, 0.4, false, 2.0, 1.0), (3, 1, 0.35, true, 3.0, 3.5),
    (4, 1, 0.8, true, 4.0, 4.5), (5, 2, 0.5, true, 0.0, 1.0), (6, 2, 0.5, false, 2.0, 2.0);

SELECT round(neural.auc(score, label)::numeric, 6) AS auc,
       round(neural.gini(score, label)::numeric, 6) AS gini,
       round(neural.ks(score, label)::numeric, 6) AS ks,
       round(neural.log_loss(score, label)::numeric, 6) AS log_loss,
       round(neural.brier(score, label)::numeric, 6) AS brier
FROM judged;
SELECT round(neural.rmse(predicted, actual)::numeric, 6) AS rmse,
       round(neural.mae(predicted, actual)::numeric, 6) AS mae,
       round(neural.r2(predicted, actual)::numeric, 6) AS r2
FROM judged;
SELECT part, round(neural.auc(score, label)::numeric, 6) AS auc,
       round(neural.rmse(predicted, actual)::numeric, 6) AS rmse
FROM judged GROUP BY part ORDER BY part;

-- FILTER and DISTINCT.
SELECT neural.auc(score, label) FILTER (WHERE part = 1) AS auc,
       neural.mae(predicted, actual) FILTER (WHERE part = 2) AS mae,
       round(neural.auc(DISTINCT score, label)::numeric, 6) AS distinct_auc
FROM (SELECT part, score, label, predicted, actual FROM judged WHERE part = 1
      UNION ALL SELECT part, score, label, predicted, actual FROM judged WHERE part = 2) d;

-- A pair with a NULL does not count; no pairs are no value.
SELECT neural.auc(s, l) AS auc, neural.brier(s, l) AS brier, neural.mae(s, s + 1) AS mae
FROM (VALUES (0.25, false), (0.75, true), (NULL, true), (0.5, NULL), (NULL, NULL)) v(s, l);
SELECT neural.auc(score, label) AS auc, neural.gini(score, label) AS gini,
       neural.ks(score, label) AS ks, neural.log_loss(score, label) AS log_loss,
       neural.brier(score, label) AS brier, neural.rmse(predicted, actual) AS rmse,
       neural.mae(predicted, actual) AS mae, neural.r2(predicted, actual) AS r2
FROM judged WHERE id > 100;
SELECT neural.auc(NULL, label) AS auc, neural.r2(predicted, NULL) AS r2 FROM judged;

-- One class has no ranking; one row has no variation to explain; all tied is chance.
SELECT neural.auc(score, true) AS auc, neural.ks(score, false) AS ks FROM judged;
SELECT neural.r2(predicted, actual) AS r2 FROM judged WHERE id = 1;
SELECT neural.r2(predicted, 2) AS constant_wrong, neural.r2(2, 2) AS constant_right,
       neural.auc(0.5, label) AS tied, neural.ks(0.5, label) AS tied_ks
FROM judged;

-- Any number ranks, infinity and either zero too; NaN shows.
SELECT neural.auc(s, l) AS auc
FROM (VALUES ('-Infinity'::float8, false), (-3, false), (7e300, true), ('Infinity', true)) v(s, l);
SELECT neural.auc(s, l) AS auc FROM (VALUES ('-0'::float8, false), (0, true)) v(s, l);
SELECT neural.auc(s, l) AS auc, neural.ks(s, l) AS ks, neural.log_loss(s, l) AS log_loss,
       neural.rmse(s, 1) AS rmse
FROM (VALUES ('NaN'::float8, false), (0.5, true)) v(s, l);

-- A certain and wrong probability costs as much as the smallest double that changes 1.
SELECT round(neural.log_loss(1, false)::numeric, 6) AS wrong,
       round(neural.log_loss(1, true)::numeric, 6) AS right;
SELECT neural.log_loss(1.5, true);
SELECT neural.brier(-0.25, true);
\set VERBOSITY sqlstate
SELECT neural.brier('Infinity', true);
\set VERBOSITY default

-- In a window the state goes on after each result; a frame that moves is counted anew.
SELECT id, round((neural.auc(score, label) OVER w)::numeric, 6) AS auc,
       round((neural.ks(score, label) OVER w)::numeric, 6) AS ks,
       round((neural.rmse(predicted, actual) OVER w)::numeric, 6) AS rmse
FROM judged WINDOW w AS (ORDER BY id) ORDER BY id;
SELECT id, round((neural.auc(score, label) OVER w)::numeric, 6) AS auc,
       round((neural.r2(predicted, actual) OVER w)::numeric, 6) AS r2
FROM judged WINDOW w AS (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) ORDER BY id;

-- Parallel plans give what serial ones give, to the last bit.
CREATE TABLE many AS
SELECT i, (i * 7919 % 10007) / 10007.0::float8 AS score,
       (i * 104729 % 1009) < (i * 7919 % 10007) / 10 AS label, i % 5 AS part
FROM generate_series(1::bigint, 60000) i;
INSERT INTO many VALUES (0, NULL, true, 0), (0, 0.5, NULL, 0);
ALTER TABLE many SET (parallel_workers = 3);
ANALYZE many;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE results AS
SELECT neural.auc(score, label), neural.gini(score, label),
       neural.ks(score, label), neural.log_loss(score, label), neural.brier(score, label),
       neural.rmse(score, i), neural.mae(score, i), neural.r2(score * 60000, i)
FROM many;
CREATE TABLE grouped AS
SELECT part, neural.auc(score, label), neural.r2(score * 60000, i) FROM many GROUP BY part;
SET max_parallel_workers_per_gather = 3;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF)
SELECT neural.auc(score, label), neural.r2(score, i) FROM many;
CREATE TABLE from_workers AS
SELECT neural.auc(score, label), neural.gini(score, label),
       neural.ks(score, label), neural.log_loss(score, label), neural.brier(score, label),
       neural.rmse(score, i), neural.mae(score, i), neural.r2(score * 60000, i)
FROM many;
SELECT a.auc = b.auc AS auc, a.gini = b.gini AS gini, a.ks = b.ks AS ks,
       abs(a.log_loss - b.log_loss) < 1e-15 AS log_loss, abs(a.brier - b.brier) < 1e-15 AS brier,
       abs(a.rmse / b.rmse - 1) < 1e-15 AS rmse, abs(a.mae / b.mae - 1) < 1e-15 AS mae,
       abs(a.r2 - b.r2) < 1e-15 AS r2
FROM results a, from_workers b;
SELECT count(*) AS groups, bool_and(g.auc = p.auc) AS auc, bool_and(abs(g.r2 - p.r2) < 1e-12) AS r2
FROM grouped g
JOIN (SELECT part, neural.auc(score, label), neural.r2(score * 60000, i)
      FROM many GROUP BY part) p USING (part);
-- A worker that saw no pair hands over nothing.
SELECT neural.auc(score, label) AS auc FROM many WHERE i = 0;
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- An error or a cancel in the middle leaves nothing behind.
SET statement_timeout = '50ms';
DO $$
BEGIN
    PERFORM neural.auc(hashint8(i), i % 3 = 0) FROM generate_series(1, 100000000) i;
EXCEPTION WHEN query_canceled THEN
    RAISE NOTICE 'cancelled';
END
$$;
RESET statement_timeout;
SELECT round(neural.auc(score, label)::numeric, 6) AS auc FROM judged;

-- Anybody may judge; the functions behind are nobody's business.
SELECT bool_and(has_function_privilege('public', p.oid, 'EXECUTE')) AS aggregates
FROM pg_proc p WHERE p.pronamespace = 'neural'::regnamespace AND p.prokind = 'a';
SELECT count(*) AS open_functions
FROM pg_proc p
WHERE p.pronamespace = 'neural'::regnamespace
  AND p.proname ~ '_(transition|combine|serialize|deserialize|final)$'
  AND has_function_privilege('public', p.oid, 'EXECUTE');

DROP TABLE judged, many, results, grouped, from_workers;
