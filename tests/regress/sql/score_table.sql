-- Scoring a table in place.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA scored;
SET search_path = scored, public;

CREATE TABLE loans AS
    SELECT i AS id, 20 + i % 50 AS age, (1000 * (1.5 + sin(i)))::numeric(8, 2) AS amount,
           (ARRAY['car', 'house', 'other'])[1 + i % 3] AS purpose, 'k' || i AS key,
           (i % 50) + 20 * sin(i) > 25 AS bad, (i % 50) / 10 AS grade
    FROM generate_series(1, 1000) AS i;
SELECT version FROM neural.train('risk', 'SELECT age, amount, purpose, bad FROM loans', 'bad',
    epochs => 2, seed => 1);
SELECT version FROM neural.train('grade', 'SELECT age, amount, purpose, grade FROM loans', 'grade',
    epochs => 2, seed => 1);
SELECT version FROM neural.train('age', 'SELECT amount, purpose, age::float8 AS years FROM loans',
    'years', epochs => 2, seed => 1);

-- What the caller is told.
ALTER TABLE loans ADD COLUMN score float8;
SET client_min_messages = notice;
CALL neural.score_table('risk', 'loans', 'score');
SET client_min_messages = warning;
CREATE FUNCTION right_scores(OUT rows bigint, OUT scored bigint, OUT right_ones bigint)
LANGUAGE sql AS $$
    SELECT count(*), count(score),
           count(*) FILTER (WHERE score = neural.predict('risk', age, amount, purpose))
    FROM loans $$;
SELECT * FROM right_scores();

-- In batches, each a transaction.
UPDATE loans SET score = NULL;
CALL neural.score_table('risk', 'loans', 'score', batch_rows => 100);
SELECT *, (SELECT count(DISTINCT xmin::text) > 5 FROM loans) AS in_batches FROM right_scores();

-- All are scored anew, but with only_missing.
UPDATE loans SET score = -1 WHERE id <= 10;
UPDATE loans SET score = NULL WHERE id > 990;
SET client_min_messages = notice;
CALL neural.score_table('risk', 'loans', 'score', only_missing => true);
SET client_min_messages = warning;
SELECT * FROM right_scores();
CALL neural.score_table('risk', 'loans', 'score', only_missing => false);
SELECT * FROM right_scores();

-- A version by its number; the deployed one is the one of the beginning.
SELECT version FROM neural.train('risk', 'SELECT age, amount, purpose, bad FROM loans', 'bad',
    epochs => 2, seed => 2, options => '{"deploy": false}');
CALL neural.score_table('risk@2', 'loans', 'score');
SELECT count(*) FILTER (WHERE score = neural.predict('risk@2', age, amount, purpose)) AS of_2 FROM loans;

-- What is written follows from the column's type.
CREATE TYPE yes_no AS ENUM ('true', 'false');
CREATE TYPE colour AS ENUM ('red', 'green');
CREATE DOMAIN probability AS numeric CHECK (VALUE BETWEEN 0 AND 1);
CREATE TABLE answers AS SELECT id, age, amount, purpose FROM loans WHERE id <= 200;
ALTER TABLE answers ADD COLUMN r real, ADD COLUMN n numeric(6, 4), ADD COLUMN p probability,
    ADD COLUMN t text, ADD COLUMN v varchar(5), ADD COLUMN v3 varchar(3), ADD COLUMN b bool, ADD COLUMN e yes_no,
    ADD COLUMN f8 float8[], ADD COLUMN f4 real[], ADD COLUMN i int, ADD COLUMN c colour,
    ADD COLUMN d date, ADD COLUMN ta text[], ADD COLUMN f float8;
CALL neural.score_table('risk', 'answers', 'r');
CALL neural.score_table('risk', 'answers', 'n');
CALL neural.score_table('risk', 'answers', 'p');
CALL neural.score_table('risk', 'answers', 't');
CALL neural.score_table('risk', 'answers', 'v');
CALL neural.score_table('risk', 'answers', 'b');
CALL neural.score_table('risk', 'answers', 'e');
CALL neural.score_table('risk', 'answers', 'f8');
CALL neural.score_table('risk', 'answers', 'f4');
CALL neural.score_table('grade', 'answers', 'i');
SELECT count(*) FILTER (WHERE r = one::real) AS r, count(*) FILTER (WHERE n = one::numeric(6, 4)) AS n,
       count(*) FILTER (WHERE p = one::numeric) AS p, count(*) FILTER (WHERE t = class) AS t,
       count(*) FILTER (WHERE v = class) AS v, count(*) FILTER (WHERE b::text = class) AS b,
       count(*) FILTER (WHERE e::text = class) AS e, count(*) FILTER (WHERE f8 = every) AS f8,
       count(*) FILTER (WHERE f4 = every::real[]) AS f4, count(*) FILTER (WHERE i::text = g) AS i
FROM answers, neural.predict('risk', age, amount, purpose) AS one,
     neural.predict_class('risk', age, amount, purpose) AS class,
     neural.predict_proba('risk', age, amount, purpose) AS every,
     neural.predict_class('grade', age, amount, purpose) AS g;
CALL neural.score_table('age', 'answers', 'i');
SELECT count(*) FILTER (WHERE i = neural.predict('age', amount, purpose)::int) AS rounded FROM answers;
CALL neural.score_table('risk', 'answers', 'v3'); \echo :SQLSTATE
CALL neural.score_table('risk', 'answers', 'c'); \echo :SQLSTATE
CALL neural.score_table('risk', 'answers', 'd'); \echo :SQLSTATE
CALL neural.score_table('risk', 'answers', 'ta'); \echo :SQLSTATE
CALL neural.score_table('grade', 'answers', 'f'); \echo :SQLSTATE
CALL neural.score_table('grade', 'answers', 'b'); \echo :SQLSTATE
CALL neural.score_table('age', 'answers', 't'); \echo :SQLSTATE
CALL neural.score_table('age', 'answers', 'f8'); \echo :SQLSTATE
-- Several outputs.
SELECT version FROM neural.train('two', 'SELECT age, amount, ARRAY[age / 10.0, age] AS y FROM loans', 'y',
    epochs => 2, seed => 1);
SELECT version FROM neural.train('labels', 'SELECT age, amount,
    array_remove(ARRAY[CASE WHEN age > 40 THEN ''old'' END, CASE WHEN amount > 1500 THEN ''large, very'' END], NULL) AS y
    FROM loans', 'y', epochs => 2, seed => 1);
CALL neural.score_table('two', 'answers', 'f8');
CALL neural.score_table('labels', 'answers', 'ta');
CALL neural.score_table('labels', 'answers', 't');
CALL neural.score_table('labels', 'answers', 'f4');
SELECT count(*) FILTER (WHERE f8 = neural.predict_proba('two', age, amount)) AS f8,
       count(*) FILTER (WHERE ta = neural.predict_class('labels', age, amount)::text[]) AS ta,
       count(*) FILTER (WHERE t = neural.predict_class('labels', age, amount)) AS t,
       count(*) FILTER (WHERE f4 = neural.predict_proba('labels', age, amount)::real[]) AS f4
FROM answers;
CALL neural.score_table('two', 'answers', 'f'); \echo :SQLSTATE
CALL neural.score_table('two', 'answers', 't'); \echo :SQLSTATE
CALL neural.score_table('labels', 'answers', 'f'); \echo :SQLSTATE
CALL neural.score_table('labels', 'answers', 'b'); \echo :SQLSTATE

-- Partitions whose columns lie otherwise, and what was dropped; a table that inherits; odd names.
CREATE TABLE parts (dropped int, id int, age int, amount numeric, purpose text, "Odd ""score""" float8)
    PARTITION BY RANGE (id);
ALTER TABLE parts DROP COLUMN dropped;
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_2 ("Odd ""score""" float8, purpose text, gone int, amount numeric, age int, id int);
ALTER TABLE parts_2 DROP COLUMN gone;
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (100) TO (900);
CREATE TABLE parts_3 PARTITION OF parts DEFAULT PARTITION BY LIST (id);
CREATE TABLE parts_3_1 PARTITION OF parts_3 DEFAULT;
INSERT INTO parts SELECT id, age, amount, purpose FROM loans;
CALL neural.score_table('risk', 'parts', 'Odd "score"', batch_rows => 50);
SELECT tableoid::regclass, count(*),
       count(*) FILTER (WHERE "Odd ""score""" = neural.predict('risk', age, amount, purpose)) AS right_ones
FROM parts GROUP BY 1 ORDER BY min(id);
CREATE TEMP TABLE "a ""parent""" AS SELECT id, age, amount, purpose, score FROM loans WHERE id <= 100;
CREATE TEMP TABLE heir () INHERITS ("a ""parent""");
INSERT INTO heir SELECT id, age, amount, purpose FROM loans WHERE id > 900;
CALL neural.score_table('risk', '"a ""parent"""', 'score');
SELECT count(*), count(*) FILTER (WHERE score = neural.predict('risk', age, amount, purpose)) AS right_ones
FROM "a ""parent""";

-- A column that was left out is no feature.
SELECT version FROM neural.train('with_key', 'SELECT key, age, bad FROM loans', 'bad', epochs => 2, seed => 1);
CREATE TABLE no_key AS SELECT age, NULL::float8 AS score FROM loans;
CALL neural.score_table('with_key', 'no_key', 'score');
SELECT count(*) FILTER (WHERE score = neural.predict('with_key', age)) AS right_ones FROM no_key;
-- More features than a function has parameters.
SELECT format('CREATE TABLE wide AS SELECT %s, i %% 2 = 0 AS bad, NULL::float8 AS score FROM generate_series(1, 200) i',
              string_agg(format('sin(i * %s) AS x%s', x, x), ', ')) AS statement
FROM generate_series(1, 120) x \gset
:statement;
SELECT version FROM neural.train('wide', 'SELECT * FROM wide', 'bad', epochs => 1, seed => 1,
    features => '{"score": "ignore"}');
CALL neural.score_table('wide', 'wide', 'score');
SELECT count(*) FILTER (WHERE score = neural.predict('wide', wide)) AS right_ones FROM wide;
-- An empty table, and one without pages.
CREATE TABLE empty (age int, amount numeric, purpose text, score float8);
CALL neural.score_table('risk', 'empty', 'score');
INSERT INTO empty VALUES (1, 1, NULL), (NULL, NULL, NULL);
CALL neural.score_table('risk', 'empty', 'score');
SELECT count(score) FROM empty;

-- Triggers fire and constraints hold as in any UPDATE; deferred ones when a batch commits.
CREATE TABLE guarded AS SELECT id, age, amount, purpose, NULL::float8 AS score FROM loans WHERE id <= 20;
CREATE TABLE log (rows bigint);
CREATE FUNCTION even_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF NEW.id % 2 = 0 THEN RETURN NEW; END IF; RETURN NULL; END $$;
CREATE TRIGGER even_only BEFORE UPDATE ON guarded FOR EACH ROW EXECUTE FUNCTION even_only();
CREATE FUNCTION write_log() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO log SELECT count(*) FROM changed; RETURN NULL; END $$;
CREATE TRIGGER write_log AFTER UPDATE ON guarded REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION write_log();
CALL neural.score_table('risk', 'guarded', 'score');
SELECT count(score), bool_and(id % 2 = 0) FILTER (WHERE score IS NOT NULL) AS even FROM guarded;
SELECT sum(rows) FROM log;
CALL neural.score_table('risk', 'guarded', 'score', 1, true);
SELECT count(score) FROM guarded;
DROP TRIGGER even_only ON guarded;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'refused at commit' USING ERRCODE = '23514'; END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON guarded DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.id = 11) EXECUTE FUNCTION refuse();
CALL neural.score_table('risk', 'guarded', 'score', only_missing => true);
SELECT count(score) FROM guarded;

-- Where it runs: by itself, in procedures and DO blocks that may commit, and nowhere else.
DO $$ BEGIN CALL neural.score_table('risk', 'loans', 'score', 300); END $$;
CREATE PROCEDURE nightly() LANGUAGE plpgsql AS $$
DECLARE
    turn record;
BEGIN
    INSERT INTO log VALUES (-1);
    FOR turn IN SELECT * FROM generate_series(1, 2) LOOP
        CALL neural.score_table('risk', 'loans', 'score', 300);
        ROLLBACK;
    END LOOP;
END $$;
CALL nightly();
SELECT *, (SELECT count(*) FROM log WHERE rows = -1) AS logged FROM right_scores();
SET default_transaction_isolation = 'serializable';
CALL neural.score_table('risk', 'loans', 'score', 300);
SHOW transaction_isolation;
RESET default_transaction_isolation;
BEGIN;
CALL neural.score_table('risk', 'loans', 'score'); \echo :SQLSTATE
ROLLBACK;
DO $$ BEGIN CALL neural.score_table('risk', 'loans', 'score'); EXCEPTION WHEN division_by_zero THEN NULL; END $$; \echo :SQLSTATE
CREATE FUNCTION in_a_function() RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN CALL neural.score_table('risk', 'loans', 'score'); END $$;
SELECT in_a_function(); \echo :SQLSTATE
SET default_transaction_read_only = on;
CALL neural.score_table('risk', 'loans', 'score'); \echo :SQLSTATE
RESET default_transaction_read_only;

-- What cannot be scored.
\set SHOW_CONTEXT never
CALL neural.score_table('risk@7', 'loans', 'score'); \echo :SQLSTATE
CALL neural.score_table('risk', 'no_such_table', 'score'); \echo :SQLSTATE
CALL neural.score_table('risk', 'loans', 'scores'); \echo :SQLSTATE
CALL neural.score_table('grade', 'loans', 'class'); \echo :SQLSTATE
CALL neural.score_table('risk', 'loans', 'age'); \echo :SQLSTATE
CALL neural.score_table('risk', 'loans', 'ctid'); \echo :SQLSTATE
CALL neural.score_table('risk', 'loans', 'score', 0); \echo :SQLSTATE
CALL neural.score_table('risk', 'loans', 'score', -1); \echo :SQLSTATE
CALL neural.score_table(NULL, 'loans', 'score'); \echo :SQLSTATE
CALL neural.score_table('risk', NULL, 'score'); \echo :SQLSTATE
CALL neural.score_table('risk', 'loans', NULL); \echo :SQLSTATE
CREATE VIEW some_loans AS SELECT * FROM loans;
CALL neural.score_table('risk', 'some_loans', 'score'); \echo :SQLSTATE
CREATE INDEX loans_age ON loans (age);
CALL neural.score_table('risk', 'loans_age', 'score'); \echo :SQLSTATE
CREATE TABLE lacking (age int, amount numeric, score float8);
CALL neural.score_table('risk', 'lacking', 'score'); \echo :SQLSTATE
ALTER TABLE lacking ADD COLUMN purpose int, ALTER COLUMN age TYPE date USING NULL;
CALL neural.score_table('risk', 'lacking', 'score'); \echo :SQLSTATE
CREATE TABLE making (age int, amount numeric, purpose text, id int GENERATED ALWAYS AS IDENTITY,
                     twice float8 GENERATED ALWAYS AS (2 * age) STORED);
CALL neural.score_table('risk', 'making', 'twice'); \echo :SQLSTATE
CALL neural.score_table('grade', 'making', 'id'); \echo :SQLSTATE
SELECT version FROM neural.train('churn', 'SELECT id % 100 AS customer, id, age, id % 100 < 30 AS churned FROM loans', 'churned',
    epochs => 1, seed => 1, options => '{"sequence_by": "customer", "order_by": "id"}');
CALL neural.score_table('churn', 'loans', 'score'); \echo :SQLSTATE

-- Rights: the procedure's, the model's, and the table's, whose policies hold.
CREATE ROLE scorer;
GRANT USAGE ON SCHEMA scored TO scorer;
GRANT SELECT ON ALL TABLES IN SCHEMA scored TO scorer;
SET ROLE scorer;
CALL neural.score_table('risk', 'loans', 'score'); \echo :SQLSTATE
RESET ROLE;
GRANT EXECUTE ON PROCEDURE neural.score_table TO scorer;
SET ROLE scorer;
CALL neural.score_table('risk', 'loans', 'score'); \echo :SQLSTATE
RESET ROLE;
SELECT neural.grant_model('risk', 'scorer');
SET ROLE scorer;
CALL neural.score_table('risk', 'loans', 'score'); \echo :SQLSTATE
RESET ROLE;
GRANT UPDATE (score) ON loans TO scorer;
ALTER TABLE loans ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON loans TO scorer USING (id <= 5);
UPDATE loans SET score = NULL;
SET ROLE scorer;
CALL neural.score_table('risk', 'loans', 'score');
RESET ROLE;
SELECT count(score) FROM loans;
SET client_min_messages = error;
DROP OWNED BY scorer;
SELECT neural.revoke_model('risk', 'scorer');
DROP ROLE scorer;
DROP SCHEMA scored CASCADE;
