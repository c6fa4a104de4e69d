-- auc, gini and ks beyond neural.max_memory: sorted runs in temporary files, and the same numbers.
CREATE UNLOGGED TABLE scored AS
SELECT i, CASE i % 3 WHEN 0 THEN (i * 7919 % 100003) / 100003.0::float8
                     WHEN 1 THEN (i * 104729 % 1000) / 1000.0::float8
                     ELSE sin(i) END AS score,
       (i * 104729 % 1009) < (i * 7919 % 10007) / 10 AS label, i % 7 AS part
FROM generate_series(1::bigint, 1000000) i;
ALTER TABLE scored SET (parallel_workers = 2);
ANALYZE scored;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE results (way text, part bigint, auc float8, gini float8, ks float8);
SET neural.max_memory = '1GB';
INSERT INTO results
SELECT 'memory', NULL, neural.auc(score, label), neural.gini(score, label), neural.ks(score, label) FROM scored;
INSERT INTO results
SELECT 'memory', part, neural.auc(score, label), neural.gini(score, label), neural.ks(score, label)
FROM scored GROUP BY part;

-- 16 MB of scores at 1 MB, in one group, hashed and sorted groups, and with workers.
SET neural.max_memory = '1MB';
CREATE FUNCTION temporary_bytes() RETURNS bigint LANGUAGE sql AS
$$SELECT sum(size)::bigint FROM pg_ls_tmpdir()$$;
INSERT INTO results
SELECT 'file', NULL, neural.auc(score, label), neural.gini(score, label), neural.ks(score, label) FROM scored;
INSERT INTO results
SELECT 'file', part, neural.auc(score, label), neural.gini(score, label), neural.ks(score, label)
FROM scored GROUP BY part;
SET enable_hashagg = off;
INSERT INTO results
SELECT 'sorted', part, neural.auc(score, label), neural.gini(score, label), neural.ks(score, label)
FROM scored GROUP BY part;
RESET enable_hashagg;
-- A plan's workers write files that the leader reads.
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
EXPLAIN (COSTS OFF) SELECT part, neural.auc(score, label) FROM scored GROUP BY part;
CREATE TABLE by_workers AS
SELECT neural.auc(score, label), neural.gini(score, label), neural.ks(score, label) FROM scored;
INSERT INTO results SELECT 'workers', NULL, * FROM by_workers;
DROP TABLE by_workers;
CREATE TABLE by_workers AS
SELECT part, neural.auc(score, label), neural.gini(score, label), neural.ks(score, label)
FROM scored GROUP BY part;
INSERT INTO results SELECT 'workers', * FROM by_workers;
DROP TABLE by_workers;
SET enable_hashagg = off;
CREATE TABLE by_workers AS
SELECT part, neural.auc(score, label), neural.gini(score, label), neural.ks(score, label)
FROM scored GROUP BY part;
INSERT INTO results SELECT 'sorted workers', * FROM by_workers;
RESET enable_hashagg;
SELECT r.way, count(*) AS results,
       bool_and((m.auc, m.gini, m.ks) IS NOT DISTINCT FROM (r.auc, r.gini, r.ks)) AS equal
FROM results r JOIN results m ON m.way = 'memory' AND m.part IS NOT DISTINCT FROM r.part
GROUP BY r.way ORDER BY r.way;
-- GROUPING SETS keep several lots of states at once.
SELECT count(*) AS groups, bool_and(s.auc = m.auc) AS equal
FROM (SELECT part, neural.auc(score, label) FROM scored GROUP BY GROUPING SETS ((), (part))) s
JOIN results m ON m.way = 'memory' AND m.part IS NOT DISTINCT FROM s.part;
-- 100,000 groups of ten rows, which PostgreSQL itself spills, against an average of pairs.
SET max_parallel_workers_per_gather = 0;
SELECT count(*) AS groups, sum(auc) > 0 AS auc
FROM (SELECT i / 10 AS part, neural.auc(score, label) FROM scored GROUP BY i / 10) s;
-- A NaN shows from a file too; one class has no ranking there either.
SELECT neural.auc(CASE i WHEN 500000 THEN 'NaN' ELSE score END, label) AS auc FROM scored;
SELECT neural.auc(score, true) AS auc FROM scored;

-- The file counts against temp_file_limit, and whatever ends the query ends the file.
\set VERBOSITY sqlstate
SET temp_file_limit = '1MB';
SELECT neural.auc(score, label) FROM scored;
SET max_parallel_workers_per_gather = 2;
SELECT neural.auc(score, label) FROM scored;
RESET temp_file_limit;
\set VERBOSITY default
SET max_parallel_workers_per_gather = 0;
DO $$
BEGIN
    PERFORM neural.auc(score / (i - 999999), label) FROM scored;
EXCEPTION WHEN division_by_zero THEN
    RAISE NOTICE 'divided by zero';
END
$$;
-- A cancel ends the query in the middle of its files.
SET statement_timeout = '400ms';
DO $$
BEGIN
    PERFORM neural.auc(hashint8(i), i % 3 = 0) FROM generate_series(1, 100000000) i;
EXCEPTION WHEN query_canceled THEN
    RAISE NOTICE 'cancelled';
END
$$;
RESET statement_timeout;
-- A cursor that fails in a subtransaction leaves its memory for later, and its file not.
BEGIN;
DECLARE failing CURSOR FOR
    SELECT neural.auc(score, label) FROM scored GROUP BY i < 900000
    UNION ALL SELECT 1 / (count(*) - 1000000) FROM scored;
FETCH 1 FROM failing \g (format=unaligned tuples_only=on) /dev/null
SAVEPOINT inner_one;
FETCH 5 FROM failing;
ROLLBACK TO inner_one;
CLOSE failing;
SELECT count(*) FROM pg_ls_tmpdir();
COMMIT;
-- A query in the rows of another, both beyond memory.
SELECT count(*) AS rows, bool_and(o.auc = m.auc AND o.inner_auc = m.auc) AS equal
FROM (SELECT neural.auc(score, label),
             (SELECT neural.auc(score, label) FROM scored) AS inner_auc
      FROM scored) o
JOIN results m ON m.way = 'memory' AND m.part IS NULL;
-- A limit stops workers whose files nobody read.
SET max_parallel_workers_per_gather = 2;
SELECT count(*) FROM (SELECT part, neural.auc(score, label) FROM scored GROUP BY part LIMIT 1) s;
SELECT count(*) AS files, temporary_bytes() AS bytes FROM pg_ls_tmpdir();
SELECT count(*) AS directories FROM pg_ls_dir('base/pgsql_tmp') AS name WHERE name LIKE '%.fileset';
RESET max_parallel_workers_per_gather;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET neural.max_memory;

-- The functions behind the aggregates refuse any other caller, where the server lets one pass.
CREATE FUNCTION refused(call text) RETURNS bool LANGUAGE plpgsql AS $f$
BEGIN
    EXECUTE 'SELECT ' || call;
    RETURN false;
EXCEPTION WHEN undefined_function OR feature_not_supported OR object_not_in_prerequisite_state THEN
    RETURN true;
END $f$;
SELECT count(*) > 10 AS many, bool_and(refused(format('_neural.%I(%s)', p.proname,
           (SELECT string_agg(CASE t WHEN 'internal'::regtype THEN 'NULL' WHEN 'bool'::regtype THEN 'true' ELSE '0.5::float8' END, ', ')
            FROM unnest(p.proargtypes::oid[]) AS t)))) AS refused
FROM pg_proc p
WHERE p.pronamespace = '_neural'::regnamespace AND 'internal'::regtype = ANY (p.proargtypes::oid[]) AND NOT p.proisstrict;
DROP FUNCTION refused;
DROP FUNCTION temporary_bytes();
DROP TABLE scored, results, by_workers;
