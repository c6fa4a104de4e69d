-- Scoring in batches: where it happens, what it shows, and that nothing else shows.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
SET client_min_messages = warning;

CREATE TABLE loans AS
SELECT i AS id, 20 + i % 50 AS age, (1000 * sin(i))::int AS amount,
       (ARRAY['car', 'house', 'other'])[1 + i % 3] AS purpose, i % 4 AS branch,
       (i % 50) + 20 * sin(i) > 25 AS bad
FROM generate_series(1, 1000) AS i;
ALTER TABLE loans ADD PRIMARY KEY (id);
ANALYZE loans;
SELECT version FROM neural.train('risk', 'SELECT age, amount, purpose, bad FROM loans', 'bad',
    architecture => 'tabular', epochs => 2, seed => 1, options => '{"verbose": false, "members": 8}');
SELECT version FROM neural.train('amount', 'SELECT age, purpose, amount FROM loans', 'amount',
    architecture => 'tabular', epochs => 2, seed => 1, options => '{"verbose": false, "members": 8}');
SELECT neural.create_function('predict_risk', 'risk');

-- What a query's nodes did, from the outermost to the innermost.
CREATE FUNCTION nodes(query text) RETURNS TABLE (model text, batches int, scored int)
LANGUAGE plpgsql AS $$
DECLARE plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, FORMAT JSON) ' || query INTO plan;
    RETURN QUERY
        SELECT node ->> 'Model', (node ->> 'Batches')::int, (node ->> 'Rows Scored')::int
        FROM jsonb_path_query(plan, 'strict $.** ? (@."Custom Plan Provider" == "NeuralScore")') AS node;
END $$;
-- A query's rows both ways.
CREATE FUNCTION both_ways(query text) RETURNS TABLE (nodes int, rows int, same bool)
LANGUAGE plpgsql AS $$
DECLARE batches text[]; one_by_one text[];
BEGIN
    query := format('SELECT array_agg(r::text ORDER BY r::text) FROM (%s) AS r', query);
    nodes := (SELECT count(*) FROM nodes(query));
    EXECUTE query INTO batches;
    SET LOCAL neural.batch_scoring = off;
    EXECUTE query INTO one_by_one;
    SET LOCAL neural.batch_scoring = on;
    rows := coalesce(cardinality(batches), 0);
    same := batches IS NOT DISTINCT FROM one_by_one;
    RETURN NEXT;
END $$;

-- In a target list, a filter, an aggregate, below a join, in several calls of several models.
EXPLAIN (COSTS OFF) SELECT id, predict_risk(age, amount, purpose) FROM loans;
EXPLAIN (COSTS OFF)
SELECT count(*), avg(predict_risk(age, amount, purpose)) FROM loans
WHERE neural.predict('amount', age, purpose) > 0 AND branch = 2;
SELECT * FROM both_ways('SELECT id, predict_risk(age, amount, purpose) FROM loans');
SELECT * FROM both_ways('SELECT branch, sum(predict_risk(age, amount, purpose)::numeric)
    FROM loans WHERE neural.predict(''amount'', age, purpose) > 0 GROUP BY branch');
SELECT * FROM both_ways('SELECT a.id, predict_risk(a.age, b.amount, a.purpose)
    FROM loans AS a JOIN loans AS b ON b.id = a.id + 1');
SELECT * FROM both_ways('SELECT a.id FROM loans AS a JOIN loans AS b
    ON b.id = a.id + 1 AND predict_risk(a.age, b.amount, a.purpose) > 0.5');
SELECT * FROM both_ways('SELECT id, predict_risk(age, neural.predict(''amount'', age, purpose)::int, purpose),
    neural.predict_class(''risk'', age, amount, purpose), neural.predict_proba(''risk'', age, amount, purpose)
    FROM loans');
SELECT * FROM both_ways('SELECT id, neural.predict(''risk'', l) FROM loans AS l');
SET neural.batch_rows = 7;
SELECT * FROM nodes('SELECT id, predict_risk(age, amount, purpose) FROM loans');
RESET neural.batch_rows;
SET neural.batch_scoring = off;
EXPLAIN (COSTS OFF) SELECT id, predict_risk(age, amount, purpose) FROM loans;
RESET neural.batch_scoring;

-- Where an expression does not come to a call for every row, it is computed for those it does.
SELECT * FROM nodes('SELECT CASE WHEN branch = 1 THEN predict_risk(age, amount, purpose) END FROM loans');
SELECT * FROM nodes('SELECT CASE branch WHEN 1 THEN predict_risk(age, amount, purpose) WHEN 2
    THEN predict_risk(age, amount, purpose) ELSE 0 END FROM loans');
SELECT * FROM nodes('SELECT coalesce(nullif(branch, 0), predict_risk(age, amount, purpose)) FROM loans');
SELECT * FROM nodes('SELECT id FROM loans WHERE branch = 3 OR predict_risk(age, amount, purpose) > 0.5');
SELECT * FROM nodes('SELECT sum(predict_risk(age, amount, purpose)) FILTER (WHERE branch = 1) FROM loans');
SELECT * FROM both_ways('SELECT CASE WHEN id <> 777 THEN predict_risk(age, 100 / (id - 777), purpose) END FROM loans');
SELECT * FROM both_ways('SELECT CASE WHEN id <> 777 THEN neural.predict(''risk'', age, 100 / (id - 777), purpose)
    ELSE predict_risk(age, amount, purpose) END, sum(branch) OVER (ORDER BY id) FROM loans');
-- A model that no row comes to need not be there.
SELECT count(CASE WHEN id < 0 THEN neural.predict('nobody', age) END) FROM loans;

-- Outside of an aggregate an expression sees groups, of which there may be one without a row.
SELECT neural.predict('risk', 30, 500, 'car') > 0 AS score, max(neural.predict('risk', 30, 500, 'car'))
FROM loans WHERE id < 0;
SELECT * FROM both_ways('SELECT age, purpose, neural.predict(''amount'', age, purpose),
    sum(neural.predict(''amount'', age, purpose)::numeric) FROM loans GROUP BY ROLLUP (age, purpose)');

-- A LIMIT is heard: few rows are scored in vain, and no row beyond it raises an error.
SELECT * FROM nodes('SELECT predict_risk(age, amount, purpose) FROM loans LIMIT 1');
SELECT * FROM nodes('SELECT predict_risk(age, amount, purpose) FROM loans ORDER BY id LIMIT 30 OFFSET 10');
SELECT * FROM nodes('SELECT id FROM loans WHERE predict_risk(age, amount, purpose) > 0.1 LIMIT 1');
SELECT count(*) FROM (SELECT predict_risk(age, 100 / (id - 777), purpose) FROM loans ORDER BY id LIMIT 776) AS s;
SELECT count(*) FROM (SELECT predict_risk(age, 100 / (id - 777), purpose) AS p FROM loans
    WHERE predict_risk(age, amount, purpose) > 0.01 ORDER BY id LIMIT 100) AS s;
SELECT EXISTS (SELECT FROM loans WHERE predict_risk(age, 100 / (id - 777), purpose) > 0);
SELECT id FROM loans WHERE 100 / (id - 12) < 50 AND predict_risk(age, amount, purpose) > 0 AND id < 20 ORDER BY id LIMIT 2;
SELECT EXISTS (SELECT FROM loans WHERE predict_risk(age, amount, purpose) > 0);
-- A window function may leave rows out.
SELECT id, lag(neural.predict('nobody', age)) OVER () FROM loans WHERE id = 1;
SELECT count(*) FROM (SELECT first_value(predict_risk(100 / (id - 12), amount, purpose)) OVER (ORDER BY id)
    FROM loans WHERE id < 20) AS s;
SELECT * FROM both_ways('SELECT id, sum(predict_risk(age, amount, purpose)::numeric) OVER (ORDER BY id) FROM loans');
-- A recursion without an end is not read further than it is wanted.
SET statement_timeout = '20s';
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
SELECT i FROM n WHERE i < 4 AND predict_risk(i, 1, 'car') > 0 LIMIT 3;
RESET statement_timeout;
-- What is read shows where it calls a volatile function or locks rows: no more is read then.
CREATE SEQUENCE asked;
SELECT count(*) FROM (SELECT id FROM loans WHERE nextval('asked') > 0 AND predict_risk(age, amount, purpose) > 0 LIMIT 3) AS s;
SELECT last_value FROM asked;
SELECT id, currval('asked'), predict_risk(age, amount, purpose) > 0 AS scored
FROM loans WHERE nextval('asked') % 3 = 0 AND id < 10;
SELECT id FROM (SELECT * FROM loans ORDER BY id OFFSET 0 FOR UPDATE) AS l
WHERE predict_risk(age, amount, purpose) > 0 LIMIT 3;
SELECT count(*) AS locked FROM loans WHERE xmax <> 0;
-- So does what it takes to find a row: a join's keys, an index's, a function of another table's
-- row, what is sorted for it, and what an append comes to after the rows that are wanted.
CREATE TABLE few AS SELECT * FROM loans WHERE branch = 1;
ALTER TABLE few ADD PRIMARY KEY (id);
ANALYZE few;
CREATE FUNCTION has_node(type text, query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan @? format('strict $.** ? (@."Node Type" == "%s")', type)::jsonpath;
END $$;
CREATE VIEW joined AS SELECT a.id, a.age, b.amount, a.purpose
    FROM loans AS a LEFT JOIN few AS b ON b.id = 100 / (12 - a.id);
SET enable_mergejoin = off;
SET enable_nestloop = off;
SELECT has_node('Hash Join', 'SELECT amount FROM joined');
SELECT id FROM joined WHERE predict_risk(age, amount, purpose) > 0 LIMIT 3;
RESET enable_nestloop;
SET enable_hashjoin = off;
SELECT has_node('Index Scan', 'SELECT amount FROM joined');
SELECT id FROM joined WHERE predict_risk(age, amount, purpose) > 0 LIMIT 3;
RESET enable_mergejoin;
RESET enable_hashjoin;
SELECT count(*) FROM (SELECT FROM loans AS a LEFT JOIN generate_series(1, 100 / (12 - a.id)) AS i ON true
    WHERE predict_risk(a.age, i, a.purpose) > 0 LIMIT 100) AS s;
SELECT count(*) FROM (SELECT FROM loans AS a LEFT JOIN LATERAL
    (SELECT few.amount FROM few ORDER BY few.amount + 100 / (12 - a.id) LIMIT 1) AS b ON true
    WHERE predict_risk(a.age, b.amount, a.purpose) > 0 LIMIT 3) AS s;
SELECT count(*) FROM (SELECT FROM (SELECT age, amount FROM loans WHERE id < 10
    UNION ALL (SELECT age, 100 / (101 - id) FROM few ORDER BY 2) OFFSET 0) AS a
    WHERE predict_risk(age, amount, 'car') > 0 LIMIT 3) AS s;
CREATE FUNCTION ask(int) RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN nextval('asked') + $1; END$$;
ALTER SEQUENCE asked RESTART;
SELECT count(*) FROM (SELECT FROM loans AS a LEFT JOIN ask(a.id) AS i ON true
    WHERE predict_risk(a.age, i, a.purpose) > 0 LIMIT 3) AS s;
SELECT last_value FROM asked;
ALTER SEQUENCE asked RESTART;
SELECT id, currval('asked'), predict_risk(age, amount, purpose) > 0 AS scored
FROM loans AS a WHERE (SELECT max(i) FROM ask(a.id) AS i) > 0 AND id < 5;
-- A function that is called once, before the first row, stays where it is.
SELECT * FROM nodes('SELECT i FROM generate_series(1, 100) AS i WHERE predict_risk(i, i, ''car'') > 0 LIMIT 3');

-- An error in one row's arguments is the same, and the session goes on.
SELECT sum(predict_risk(age, 100 / (id - 777), purpose)) FROM loans;
SET neural.batch_scoring = off;
SELECT sum(predict_risk(age, 100 / (id - 777), purpose)) FROM loans;
RESET neural.batch_scoring;
SELECT sum(neural.predict('nobody', age)) FROM loans;
SELECT sum(neural.predict('risk', age)) FROM loans;
DO $$
DECLARE caught int := 0; i int;
BEGIN
    FOR i IN 1..300 LOOP
        BEGIN
            PERFORM predict_risk(age, 100 / (id - 777), purpose) FROM loans;
        EXCEPTION WHEN division_by_zero THEN caught := caught + 1;
        END;
    END LOOP;
    RAISE WARNING '% errors', caught;
END $$;

-- An expression as deep as PostgreSQL takes it.
DO $$ BEGIN
    EXECUTE 'SELECT count(id' || repeat(' + 1', 1500) || '), count(predict_risk(age, amount, purpose)) FROM loans';
END $$;

-- Row-level security comes before what a leaky function sees.
CREATE ROLE teller;
GRANT SELECT ON loans TO teller;
SELECT neural.grant_model('risk', 'teller');
ALTER TABLE loans ENABLE ROW LEVEL SECURITY;
CREATE POLICY safe ON loans USING (neural.predict('risk', age, amount, purpose) < 0.5 AND branch = 1);
CREATE FUNCTION leak(id int) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS
$$BEGIN RAISE WARNING 'saw %', id; RETURN true; END$$;
SELECT count(*) FROM loans WHERE id < 30
    AND neural.predict('risk', age, amount, purpose) < 0.5 AND branch = 1;
SET ROLE teller;
SELECT id FROM loans WHERE id < 30 AND leak(id);
SELECT id FROM loans WHERE id < 30 AND neural.predict('risk', id, amount, purpose) > 0 AND leak(id);
RESET ROLE;
ALTER TABLE loans DISABLE ROW LEVEL SECURITY;
REVOKE SELECT ON loans FROM teller;
SELECT neural.revoke_model('risk', 'teller');
DROP POLICY safe ON loans;
DROP ROLE teller;

-- In PL/pgSQL; what is written, and triggers.
DO $$
DECLARE score float8;
BEGIN
    SELECT predict_risk(age, amount, purpose) INTO STRICT score FROM loans WHERE id = 7;
    SELECT predict_risk(age, 100 / (id - 777), purpose) INTO score FROM loans ORDER BY id;
    FOR score IN SELECT predict_risk(age, 100 / (id - 13), purpose) FROM loans ORDER BY id LOOP
        EXIT WHEN score IS NOT NULL;
    END LOOP;
    SELECT predict_risk(age, 100 / (id - 9), purpose) INTO STRICT score FROM loans ORDER BY id;
END $$;
CREATE TABLE scores (id int PRIMARY KEY, score float8, again float8);
CREATE FUNCTION score_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.again := (SELECT predict_risk(age, amount, purpose) FROM loans WHERE id = NEW.id);
    RETURN NEW;
END $$;
CREATE TRIGGER again BEFORE INSERT OR UPDATE ON scores FOR EACH ROW EXECUTE FUNCTION score_again();
INSERT INTO scores SELECT id, predict_risk(age, amount, purpose) FROM loans;
SELECT count(*), bool_and(score = again) AS same FROM scores;
UPDATE scores AS s SET score = predict_risk(l.age + 1, l.amount, l.purpose) FROM loans AS l WHERE l.id = s.id;
SELECT count(*) FILTER (WHERE score = again) < 900 AS changed FROM scores;
INSERT INTO scores SELECT id, predict_risk(age, amount, purpose) FROM loans
ON CONFLICT (id) DO UPDATE SET score = excluded.score;
SELECT count(*), bool_and(score = again) AS same FROM scores;
DELETE FROM scores USING loans AS l WHERE l.id = scores.id AND predict_risk(l.age, l.amount, l.purpose) > 0.5;
SELECT count(*) = (SELECT count(*) FROM loans WHERE predict_risk(age, amount, purpose) <= 0.5) AS left FROM scores;

-- Cursors.
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM loans WHERE predict_risk(age, amount, purpose) > 0 ORDER BY id;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
FETCH LAST FROM c;
DECLARE d CURSOR FOR SELECT id, predict_risk(age, amount, purpose) FROM loans WHERE id < 4 FOR UPDATE;
MOVE 2 IN d;
UPDATE loans SET age = predict_risk(age, amount, purpose)::int WHERE CURRENT OF d RETURNING id, age < 2 AS scored;
ROLLBACK;

-- Plans that are kept follow what is deployed.
SET plan_cache_mode = force_generic_plan;
PREPARE scored (text, int) AS SELECT sum(neural.predict($1, age + $2, amount, purpose)) AS s FROM loans;
EXPLAIN (COSTS OFF) EXECUTE scored('risk', 1);
CREATE TABLE sums AS EXECUTE scored('risk', 1);
SELECT version FROM neural.train('risk', 'SELECT age, amount, purpose, bad FROM loans', 'bad',
    architecture => 'tabular', epochs => 2, seed => 2, options => '{"verbose": false, "members": 8}');
INSERT INTO sums SELECT sum(neural.predict('risk', age + 1, amount, purpose)) FROM loans;
CREATE TABLE more AS EXECUTE scored('risk', 1);
SELECT (SELECT count(*) FROM sums JOIN more USING (s)) AS followed, (SELECT count(DISTINCT s) FROM sums) AS versions;
EXECUTE scored('nobody', 1);
SELECT neural.drop_model('risk');
EXECUTE scored('risk', 1);
RESET plan_cache_mode;

-- Rows that are too large for a batch's share of the memory go through the network few at a time;
-- where one alone is, that is an error.
CREATE TABLE wide AS
SELECT i AS id, (SELECT array_agg(sin(i * j)) FROM generate_series(1, 20000) AS j) AS x, sin(i) AS y
FROM generate_series(1, 12) AS i;
SELECT version FROM neural.train('wide', 'SELECT x, y FROM wide', 'y',
    architecture => '{"layers": [{"type": "dense", "units": 2}]}', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT version FROM neural.train('wider', 'SELECT id * 1.0 AS i, y FROM wide', 'y', architecture => '{"layers": [
    {"type": "dense", "name": "few", "units": 2},
    {"type": "dense", "name": "a", "units": 60000, "input": "few"},
    {"type": "dense", "name": "b", "units": 60000, "input": "few"},
    {"type": "dense", "name": "c", "units": 60000, "input": "few"},
    {"type": "concat", "input": ["a", "b", "c"]}]}', epochs => 1, seed => 1, options => '{"verbose": false}');
SET neural.max_memory = '1MB';
SELECT * FROM both_ways('SELECT id, neural.predict(''wide'', x) FROM wide');
SELECT id, neural.predict('wider', id) FROM wide;
SET neural.batch_scoring = off;
SELECT id, neural.predict('wider', id) FROM wide;
RESET neural.batch_scoring;
RESET neural.max_memory;
SELECT * FROM both_ways('SELECT id, neural.predict(''wider'', id) FROM wide');

DROP TABLE wide, sums, more, scores;
DROP VIEW joined;
DROP FUNCTION score_again, leak, both_ways, nodes, has_node, ask;
DROP FUNCTION predict_risk;
DROP TABLE loans, few;
DROP SEQUENCE asked;
