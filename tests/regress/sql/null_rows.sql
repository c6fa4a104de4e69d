-- A row that is not there has no score; a row whose columns are all NULL is there.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA null_rows;
SET search_path = null_rows;

CREATE TABLE customers AS
SELECT i AS id, (i % 40)::float8 AS age, (i * 7 % 30)::float8 AS income, i % 40 > 20 AS bad,
       (ARRAY['a', 'b', 'c'])[1 + i % 3] AS grade
FROM generate_series(1, 300) AS i;
SELECT count(*) FROM (VALUES ('risk', 'SELECT age, income, bad FROM customers', 'bad'),
                             ('grade', 'SELECT age, income, grade FROM customers', 'grade')) AS m (name, query, target),
    LATERAL neural.train(m.name, m.query, m.target, epochs => 2, seed => 1, options => '{"verbose": false}');
CREATE TABLE visits AS
SELECT i % 60 AS customer, i AS at, sin(i) AS spent, i % 60 > 30 AS bad FROM generate_series(1, 600) AS i;
SELECT version FROM neural.train('churn', 'visits', 'bad', epochs => 2, seed => 1,
    architecture => '{"layers": [{"type": "gru", "units": 4}]}',
    options => '{"verbose": false, "sequence_by": "customer", "order_by": "at"}');
SELECT format('CREATE TABLE wide AS SELECT i %% 2 = 0 AS even, %s FROM generate_series(1, 60) AS i',
              string_agg(format('sin(i * %s) AS c%s', n, n), ', ')) FROM generate_series(1, 110) AS n \gexec
SELECT version FROM neural.train('wide', 'wide', 'even', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT neural.create_function('wide_risk', 'wide'), neural.create_function('wide_risk_1', 'wide', version => 1),
       neural.create_function('churn_risk', 'churn'), neural.create_function('churn_risk_1', 'churn', version => 1);

-- Every way to call, of the unmatched side of a join and of a NULL of the type: all NULL, and the others have answers.
-- (Each pair: calls without a row that have an answer; calls with one that have none.)
CREATE FUNCTION hash(name text) RETURNS bytea LANGUAGE sql STABLE AS
    'SELECT sha256 FROM neural.model_versions WHERE model = name';
SELECT hash('risk') AS risk, hash('grade') AS grade, hash('churn') AS churn \gset
CREATE VIEW whole AS SELECT age, income FROM customers;
CREATE FUNCTION seen(OUT what text, OUT answered bigint, OUT unanswered bigint) RETURNS SETOF record LANGUAGE plpgsql AS $f$
DECLARE
    call text;
BEGIN
    FOREACH call IN ARRAY ARRAY[
        $$neural.predict('risk', c)$$, $$neural.predict_class('risk', c)$$, $$neural.predict_proba('risk', c)$$,
        $$neural.predict_class('grade', c)$$, $$neural.predict_proba('grade', c)$$,
        format($$neural.predict_pinned(%L::bytea, c)$$, hash('risk')),
        format($$neural.predict_class_pinned(%L::bytea, c)$$, hash('grade')),
        format($$neural.predict_proba_pinned(%L::bytea, c)$$, hash('grade'))] LOOP
        what := regexp_replace(call, '_pinned\(.*', '_pinned');
        EXECUTE format('SELECT count(%1$s) FILTER (WHERE c.id IS NULL), count(*) FILTER (WHERE c.id IS NOT NULL AND %1$s IS NULL)
                          FROM generate_series(200, 400) AS g LEFT JOIN customers AS c ON c.id = g', call)
            INTO answered, unanswered;
        RETURN NEXT;
    END LOOP;
    FOREACH call IN ARRAY ARRAY['neural.predict(''wide'', w)', 'wide_risk(w)', 'wide_risk_1(w)'] LOOP
        what := call;
        EXECUTE format('SELECT count(%1$s) FILTER (WHERE w.even IS NULL), count(*) FILTER (WHERE w.even IS NOT NULL AND %1$s IS NULL)
                          FROM generate_series(1, 3) AS g LEFT JOIN wide AS w ON w.even AND g = 2', call)
            INTO answered, unanswered;
        RETURN NEXT;
    END LOOP;
    FOREACH call IN ARRAY ARRAY['neural.predict(''churn'', s.steps)', 'neural.predict_class(''churn'', s.steps)',
                                'churn_risk(s.steps)', 'churn_risk_1(s.steps)'] LOOP
        what := call;
        EXECUTE format('SELECT count(%1$s) FILTER (WHERE s.steps IS NULL), count(*) FILTER (WHERE s.steps IS NOT NULL AND %1$s IS NULL)
                          FROM (SELECT g, array_agg(v ORDER BY v.at) FILTER (WHERE v.at IS NOT NULL) AS steps
                                  FROM generate_series(50, 70) AS g LEFT JOIN visits AS v ON v.customer = g GROUP BY g) AS s', call)
            INTO answered, unanswered;
        RETURN NEXT;
    END LOOP;
    what := 'a subquery';
    SELECT count(neural.predict('risk', s)) FILTER (WHERE s.id IS NULL), count(*) FILTER (WHERE s.id IS NOT NULL AND neural.predict('risk', s) IS NULL)
      INTO answered, unanswered
      FROM generate_series(200, 400) AS g LEFT JOIN (SELECT id, age + 1 AS age, income FROM customers) AS s ON s.id = g;
    RETURN NEXT;
    what := 'a view';
    SELECT count(neural.predict('risk', s)) FILTER (WHERE s.age IS NULL), count(*) FILTER (WHERE s.age IS NOT NULL AND neural.predict('risk', s) IS NULL)
      INTO answered, unanswered
      FROM generate_series(-5, 5) AS g LEFT JOIN whole AS s ON s.age = g;
    RETURN NEXT;
    what := 'CASE and WHERE';
    SELECT count(CASE WHEN g > 0 THEN neural.predict('risk', c) END), 0 INTO answered, unanswered
      FROM generate_series(301, 400) AS g LEFT JOIN customers AS c ON c.id = g
     WHERE neural.predict('risk', c) IS NULL;
    RETURN NEXT;
    what := 'no row at all';
    SELECT count(neural.predict('risk', NULL::customers)) FILTER (WHERE g > 2), 0 INTO answered, unanswered FROM generate_series(1, 5) AS g;
    RETURN NEXT;
END $f$;
SELECT * FROM seen();
SET neural.batch_scoring = off;
SELECT * FROM seen();
RESET neural.batch_scoring;
-- The sides of a join that match have the bits that they have without it.
SELECT count(*) AS rows, count(*) FILTER (WHERE neural.predict('risk', c) = neural.predict('risk', age, income)) AS same
FROM generate_series(295, 305) AS g LEFT JOIN customers AS c ON c.id = g;

-- NULL::type, a record, VARIADIC, a domain over the row's type, steps, a set-returning function in the target list.
CREATE DOMAIN customer AS customers;
CREATE FUNCTION none_and_some() RETURNS SETOF customers LANGUAGE sql AS
    'SELECT NULL::customers UNION ALL SELECT c FROM customers AS c WHERE id = 7';
SELECT neural.predict('risk', NULL::customers) AS of_type, neural.predict('risk', NULL::record) AS of_record,
       neural.predict('risk', VARIADIC NULL::float8[]) AS of_array, neural.predict('risk', NULL::customer) AS of_domain,
       neural.predict('churn', NULL::visits[]) AS of_steps, neural.predict('churn', NULL::float8[]) AS of_numbers,
       neural.predict('churn', NULL) AS of_literal, wide_risk(NULL::wide) AS of_wide, churn_risk(NULL::visits[]) AS of_function;
SELECT neural.predict('risk', none_and_some()) IS NULL AS is_null;
SELECT neural.predict('churn', (SELECT array_agg(v) FROM visits AS v WHERE customer = 1000)) AS nobody;

-- Functions that return no row, in FROM and elsewhere; of a single NULL in FROM PostgreSQL makes a row of NULLs.
CREATE FUNCTION found(number int) RETURNS SETOF customers LANGUAGE sql STABLE AS 'SELECT * FROM customers WHERE id = number';
CREATE FUNCTION found_late(number int) RETURNS SETOF customers LANGUAGE plpgsql STABLE AS 'BEGIN RETURN QUERY SELECT * FROM customers WHERE id = number; END';
CREATE FUNCTION one(number int) RETURNS customers LANGUAGE sql STABLE AS 'SELECT c FROM customers AS c WHERE id = number';
CREATE VIEW of_functions AS
SELECT 1 AS place, 'inlined' AS function, n, neural.predict('risk', r) AS p FROM generate_series(299, 302) AS n LEFT JOIN LATERAL found(n) AS r ON true
UNION ALL SELECT 2, 'called', n, neural.predict('risk', r) FROM generate_series(299, 302) AS n LEFT JOIN LATERAL found_late(n) AS r ON true
UNION ALL SELECT 3, 'a value', n, neural.predict('risk', one(n)) FROM generate_series(299, 302) AS n
UNION ALL SELECT 4, 'a value of a subquery', n, neural.predict('risk', (SELECT c FROM customers AS c WHERE id = n)) FROM generate_series(299, 302) AS n
UNION ALL SELECT 5, 'of JSON', n, neural.predict('risk', jsonb_populate_record(NULL::customers, CASE WHEN n < 301 THEN '{"age": 1}'::jsonb END)) FROM generate_series(299, 302) AS n
UNION ALL SELECT 6, 'a row of NULLs', n, neural.predict('risk', r) FROM generate_series(299, 302) AS n LEFT JOIN LATERAL one(n) AS r ON true;
SELECT function, string_agg(CASE WHEN p IS NULL THEN 'none' ELSE 'answer' END, ', ' ORDER BY n) AS answers FROM of_functions GROUP BY place, function ORDER BY place;
SET neural.batch_scoring = off;
SELECT function, string_agg(CASE WHEN p IS NULL THEN 'none' ELSE 'answer' END, ', ' ORDER BY n) AS answers FROM of_functions GROUP BY place, function ORDER BY place;
RESET neural.batch_scoring;

-- A row is there when its columns are all NULL; and a value that is NULL is a missing one.
SELECT r IS NULL AS is_null, neural.predict('risk', r) = neural.predict('risk', NULL, NULL) AS has_answer
FROM (VALUES (ROW(NULL, NULL, NULL, NULL, NULL)::customers)) AS v (r);
INSERT INTO customers VALUES (NULL, NULL, NULL, NULL, NULL);
SELECT count(*) AS rows, count(neural.predict('risk', c)) AS answers FROM customers AS c WHERE id IS NULL;
SELECT neural.predict('risk', NULL, NULL) IS NOT NULL AS missing, neural.predict('risk', VARIADIC ARRAY[NULL, NULL]::float8[]) IS NOT NULL AS missing_too;
DELETE FROM customers WHERE id IS NULL;

-- A trigger: there is no old row in an INSERT, no new one in a DELETE.
CREATE TABLE booked (age float8, income float8, before float8, after float8);
CREATE TABLE told (what text, before float8, after float8);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
    INSERT INTO told VALUES (TG_OP, neural.predict('risk', old), neural.predict('risk', new));
    RETURN NULL;
END $f$;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON booked FOR EACH ROW EXECUTE FUNCTION tell();
INSERT INTO booked VALUES (10, 20), (30, 5);
UPDATE booked SET age = 25;
DELETE FROM booked;
SELECT what, count(*) AS rows, count(before) AS before, count(after) AS after FROM told GROUP BY what ORDER BY what;

-- What is wrong with a call is said all the same.
\set VERBOSITY sqlstate
SELECT neural.predict('nothing', NULL::customers);
SELECT neural.predict('grade', NULL::customers);
SELECT neural.predict('churn', '{}'::float8[]);
\set VERBOSITY default
RESET search_path;
DROP SCHEMA null_rows CASCADE;
SELECT count(neural.drop_model(name)) FROM neural.models;
