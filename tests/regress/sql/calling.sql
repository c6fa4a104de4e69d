-- Calling models: every way to give the features, every place a call can stand.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
SET client_min_messages = warning;

CREATE TYPE purpose AS ENUM ('car', 'house', 'tv');
CREATE TABLE applicants AS
SELECT i AS id, 20 + i % 50 AS age, (1000 + 37 * (i % 91))::numeric(10, 2) AS income,
       (ARRAY['car', 'house', 'tv'])[1 + i % 3]::purpose AS purpose,
       i % 7 = 0 AS married, date '2020-01-01' + i % 800 AS since,
       ((i * 7919) % 100 < 20 + (i % 50)) AS bad
FROM generate_series(1, 400) AS i;

SELECT version FROM neural.train('risk',
    'SELECT age, income, purpose, married, since, bad FROM applicants', 'bad',
    epochs => 5, seed => 7, options => '{"verbose": false}');
SELECT version FROM neural.train('kind',
    'SELECT age, income, married, purpose FROM applicants', 'purpose',
    epochs => 3, seed => 7, options => '{"verbose": false}');
SELECT version FROM neural.train('income',
    'SELECT age, purpose, income FROM applicants', 'income',
    epochs => 3, seed => 7, options => '{"verbose": false}');

-- By position, by name, by a VARIADIC array: the same bits.
CREATE VIEW scored AS
SELECT id, neural.predict('risk', age, income, purpose, married, since) AS p FROM applicants;
SELECT count(*), bool_and(p > 0 AND p < 1) AS probabilities FROM scored;
SELECT count(*) AS different FROM applicants a JOIN scored s USING (id)
WHERE neural.predict('risk', a) IS DISTINCT FROM s.p;
SELECT count(*) AS different
FROM (SELECT since, married, purpose, income, age, id FROM applicants) a JOIN scored s USING (id)
WHERE neural.predict('risk', a) IS DISTINCT FROM s.p;
SELECT version FROM neural.train('numbers', 'SELECT age, income::float8, bad FROM applicants', 'bad',
    epochs => 1, seed => 7, options => '{"verbose": false}');
SELECT neural.predict('numbers', 30, 2000) = neural.predict('numbers', VARIADIC ARRAY[30, 2000]) AS same,
       neural.predict('numbers', NULL, 2000) = neural.predict('numbers', VARIADIC ARRAY[NULL, 2000.0]) AS same;
SELECT neural.predict('numbers', VARIADIC ARRAY[30]);
SELECT neural.predict('income', VARIADIC ARRAY[30, 40]);

-- Other types of numbers, literals without a type, domains.
CREATE DOMAIN years AS int;
SELECT neural.predict('risk', 30::smallint, 2000.5, 'car', true, '2020-03-01') =
       neural.predict('risk', 30.0::float8, 2000.5::real, 'car'::text, 't', date '2020-03-01') AS same,
       neural.predict('risk', 30::years, '2000.5', 'car'::purpose, 1, '2020-03-01'::date) =
       neural.predict('risk', '30', 2000.5, 'car'::varchar, 'yes', '01-Mar-2020') AS same;

-- NULL is a missing value, NaN too; a level that was never seen is another one: no errors.
SELECT neural.predict('risk', NULL, NULL, NULL, NULL, NULL) IS NOT NULL AS answers,
       neural.predict('risk', NULL::int, 'NaN'::float8, 'boat'::text, NULL::bool, NULL::date) IS NOT NULL AS answers;
SELECT neural.predict('risk', NULL::applicants) IS NULL AS no_row;
SELECT neural.predict(NULL::text, 1);

-- A number that is treated as a category has one name, however it is written.
SELECT version FROM neural.train('levels',
    'SELECT (i % 3)::numeric(10, 2) AS n, i % 6 < 2 AS b FROM generate_series(1, 300) AS i', 'b', epochs => 3,
    seed => 1, features => '{"n": "categorical"}', options => '{"verbose": false}');
SELECT neural.predict('levels', 1) = neural.predict('levels', 1.000) AS same,
       neural.predict('levels', '1') = neural.predict('levels', 1.0::float8) AS same,
       neural.predict('levels', 1) <> neural.predict('levels', 10) AS different;
SELECT neural.drop_model('levels');

-- Classes and probabilities.
SELECT neural.classes('risk'), neural.classes('kind');
SELECT count(*) AS rows,
       bool_and(neural.predict_class('risk', a) = (neural.predict('risk', a) >= 0.5)::text) AS by_threshold,
       bool_and(abs(1 - (SELECT sum(x) FROM unnest(neural.predict_proba('risk', a)) x)) < 1e-9) AS sum_to_one,
       bool_and((neural.predict_proba('risk', a))[array_position(neural.classes('risk'), 'true')]
                = neural.predict('risk', a)) AS positive
FROM applicants a;
SELECT count(*) AS rows,
       bool_and(neural.predict_class('kind', a) = ANY (neural.classes('kind'))) AS known,
       bool_and(abs(1 - (SELECT sum(x) FROM unnest(neural.predict_proba('kind', a)) x)) < 1e-6) AS sum_to_one,
       bool_and((neural.predict_proba('kind', a))[array_position(neural.classes('kind'), neural.predict_class('kind', a))]
                = (SELECT max(x) FROM unnest(neural.predict_proba('kind', a)) x)) AS likeliest
FROM applicants a;

-- A typed function, following the deployed version or pinned to one.
SELECT neural.create_function('predict_risk', 'risk');
SELECT neural.create_function('risk_v1', 'risk', version => 1);
SELECT neural.create_function('risk_class', 'risk', returns => 'class');
SELECT neural.create_function('public.kind_proba', 'kind', 'proba');
SELECT pg_get_function_arguments('predict_risk'::regproc), provolatile, proparallel, prolang = (SELECT oid FROM pg_language WHERE lanname = 'sql') AS sql
FROM pg_proc WHERE proname = 'predict_risk';
SELECT provolatile, proparallel FROM pg_proc WHERE proname = 'risk_v1';
SELECT count(*) AS different FROM applicants a JOIN scored s USING (id)
WHERE predict_risk(age, income, purpose, married, since) IS DISTINCT FROM p
   OR risk_v1(age => age, income => income, purpose => purpose, married => married, since => since) IS DISTINCT FROM p;
SELECT predict_risk(age => 35, purpose => 'car') = neural.predict('risk', 35, NULL, 'car', NULL, NULL) AS missing_by_default;
-- The planner inlines it.
EXPLAIN (VERBOSE, COSTS OFF) SELECT predict_risk(age, income, purpose, married, since) FROM applicants;

-- A second version is deployed; what is pinned stays.
SELECT version FROM neural.train('risk',
    'SELECT bad, since, purpose, married, income, age FROM applicants', 'bad',
    epochs => 2, seed => 8, options => '{"verbose": false}');
SELECT bool_and(predict_risk(age, income, purpose, married, since) = s.p) AS follows,
       bool_or(predict_risk(age, income, purpose, married, since) = neural.predict('risk@1', a)) AS as_before,
       bool_and(risk_v1(age, income, purpose, married, since) = neural.predict('risk@1', a)) AS pinned
FROM applicants a JOIN scored s USING (id);

-- Within a transaction a query sees what the transaction deployed, and no more after a rollback.
BEGIN;
SELECT neural.deploy('risk', 1);
SELECT neural.predict('risk', 30, 2000, 'car', true, '2020-03-01') = risk_v1(30, 2000, 'car', true, '2020-03-01') AS first;
ROLLBACK;
SELECT neural.predict('risk', 30, 2000, 'car', true, '2020-03-01') = risk_v1(30, 2000, 'car', true, '2020-03-01') AS first;

-- In a loop of PL/pgSQL each turn sees the version deployed then, also after an exception.
DO $$
DECLARE
    seen float8[] := '{}';
    value float8;
BEGIN
    FOR i IN 1..4 LOOP
        BEGIN
            PERFORM neural.deploy('risk', 1 + i % 2);
            value := neural.predict('risk', 30, 2000, 'car', true, '2020-03-01');
            seen := seen || value;
            IF i = 2 THEN RAISE EXCEPTION 'undo'; END IF;
        EXCEPTION WHEN raise_exception THEN
            NULL;
        END;
        value := neural.predict('risk', 30, 2000, 'car', true, '2020-03-01');
        seen := seen || value;
    END LOOP;
    -- Turns: 2, 2, 1 (undone), 2, 2, 2, 1, 1.
    RAISE WARNING '%', (SELECT string_agg(CASE WHEN x = seen[1] THEN '2' ELSE '1' END, ' ' ORDER BY i)
                        FROM unnest(seen) WITH ORDINALITY AS u (x, i));
END $$;
SELECT neural.deploy('risk', 2);

-- INSERT … SELECT, UPDATE, CASE, WHERE, aggregates, ORDER BY, a prepared statement.
CREATE TABLE results (id int, p float8);
INSERT INTO results SELECT id, predict_risk(age, income, purpose, married, since) FROM applicants;
SELECT count(*) AS rows, count(p) AS scored FROM results;
UPDATE results r SET p = neural.predict('risk@1', a) FROM applicants a WHERE a.id = r.id;
SELECT count(*) AS different FROM results r JOIN applicants a USING (id) WHERE r.p <> neural.predict('risk@1', a);
SELECT count(*) FILTER (WHERE neural.predict('risk', a) > 0.5) = sum(CASE WHEN neural.predict('risk', a) > 0.5 THEN 1 ELSE 0 END) AS agree
FROM applicants a;
PREPARE score(int) AS SELECT predict_risk(age => $1) IS NOT NULL AS scored;
EXECUTE score(1); EXECUTE score(2); EXECUTE score(3); EXECUTE score(4); EXECUTE score(5); EXECUTE score(6); EXECUTE score(NULL);

-- A generated column and an expression index over the pinned function.
CREATE TABLE booked (age int, income numeric, p float8 GENERATED ALWAYS AS (risk_v1(age, income)) STORED);
INSERT INTO booked (age, income) SELECT age, income FROM applicants WHERE id <= 50;
SELECT count(*) AS rows, bool_and(p = neural.predict('risk@1', age, income, NULL, NULL, NULL)) AS right FROM booked;
CREATE INDEX booked_risk ON booked (risk_v1(age, income));
SET enable_seqscan = off;
DO $$
DECLARE line text;
BEGIN
    -- The plan itself shows the hash of the weights, which differ by processor.
    FOR line IN EXPLAIN (COSTS OFF) SELECT * FROM booked WHERE risk_v1(age, income) > 2 LOOP
        IF line LIKE '%booked_risk%' THEN RAISE WARNING 'the index is used'; END IF;
    END LOOP;
END $$;
RESET enable_seqscan;
SELECT count(*) FROM booked WHERE risk_v1(age, income) > 2;

-- A parallel plan gives the same.
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2; ALTER TABLE applicants SET (parallel_workers = 2);
EXPLAIN (COSTS OFF) SELECT sum(neural.predict('risk', a)) FROM applicants a;
SELECT id, neural.predict('risk', a) AS p INTO in_parallel FROM applicants a;
RESET parallel_setup_cost; RESET parallel_tuple_cost; RESET min_parallel_table_scan_size;
SET max_parallel_workers_per_gather = 0;
SELECT count(*) AS different FROM applicants a JOIN in_parallel USING (id) WHERE neural.predict('risk', a) <> p;

-- replace: other parameters only when nothing depends on it, and never somebody's own function.
SELECT neural.create_function('predict_risk', 'kind', 'class', replace => true);
CREATE VIEW depends AS SELECT predict_risk(age) AS c FROM applicants;
\set VERBOSITY sqlstate
SELECT neural.create_function('predict_risk', 'risk', replace => true);
CREATE FUNCTION my_own(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
SELECT neural.create_function('my_own', 'risk', replace => true);
SELECT neural.create_function('a.b.c', 'risk');
SELECT neural.create_function('f', 'kind');
SELECT neural.create_function('f', 'income', 'class');
SELECT neural.create_function('f', 'income', 'some');
\set VERBOSITY default

-- More features than a call has room for: a composite, and so the created function.
SELECT format('CREATE TABLE wide AS SELECT i AS id, i %% 2 = 0 AS even, %s FROM generate_series(1, 60) i',
              string_agg(format('sin(i * %s) AS c%s', n, n), ', ')) FROM generate_series(1, 120) n \gexec
SELECT version FROM neural.train('wide', 'SELECT * FROM wide', 'even', epochs => 2, seed => 1,
    features => '{"id": "ignore"}', options => '{"verbose": false}');
SELECT count(neural.predict('wide', w)) FROM wide w;
SELECT neural.create_function('predict_wide', 'wide');
SELECT count(*) AS different FROM wide w WHERE predict_wide(w) <> neural.predict('wide', w);

DROP TABLE wide, results, in_parallel, booked CASCADE;
DROP FUNCTION my_own, predict_wide;
DROP VIEW scored, depends;
DROP FUNCTION predict_risk, risk_v1, risk_class, kind_proba;
DROP TABLE applicants;
DROP TYPE purpose; DROP DOMAIN years;
SELECT neural.drop_model(name) FROM neural.models ORDER BY name;
