-- score_table keeps off what the model was trained from, under whatever names the training query had it.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA learning;
SET search_path = learning, public;
CREATE FUNCTION origins(model text) RETURNS TABLE (as_column text, part text, origin text) LANGUAGE sql AS $$
    SELECT o->>'column', o->>'part', concat_ws('.', o->>'schema', o->>'table', o->>'name')
    FROM _neural.version v JOIN _neural.model m ON m.id = v.model, jsonb_array_elements(v.origins) AS o
    WHERE m.name = $1 ORDER BY number, 1, 3
$$;
CREATE PROCEDURE train_from(model text, query text, target text DEFAULT 'outcome', options jsonb DEFAULT '{}') LANGUAGE plpgsql AS $$
BEGIN
    PERFORM neural.train(model, query, target, epochs => 1, seed => 1, options => options || '{"verbose": false}');
END $$;

CREATE TABLE b AS SELECT i AS id, sin(i) AS xs, cos(i * 3) AS w, CASE WHEN sin(i) > 0.5 THEN 'bad' ELSE 'good' END AS st
    FROM generate_series(1, 201) AS i;
CREATE VIEW bv AS SELECT xs AS x, w, st AS outcome FROM b;
CALL train_from('v', 'bv');
SELECT * FROM origins('v');
ALTER TABLE b ADD x float8, ADD answer text;
UPDATE b SET x = xs;
CREATE TEMP TABLE kept AS SELECT id, xs, st FROM b;
CALL neural.score_table('v', 'b', 'st'); \echo :SQLSTATE
CALL neural.score_table('v', 'b', 'xs'); \echo :SQLSTATE
SELECT count(*) AS changed FROM kept JOIN b USING (id) WHERE kept.xs <> b.xs OR kept.st <> b.st;
CALL neural.score_table('v', 'b', 'answer');
SELECT count(*) AS answered FROM b WHERE answer = neural.predict_class('v', b);

-- Aliases, casts, expressions, joins, subqueries, CTEs, unions, materialized views and views over views.
CALL train_from('alias', 'SELECT x, w, st AS outcome FROM b');
CALL train_from('cast', 'SELECT x, w, st::varchar(9) AS outcome FROM b');
CALL train_from('made', $$SELECT x, ln(2 + w) AS w, st = 'bad' AS outcome FROM b$$);
CALL train_from('joined', 'SELECT q.x, q.w, outcome FROM (SELECT id, x, w FROM b) AS q JOIN (SELECT id, st FROM b) AS r (id, outcome) USING (id)');
CALL train_from('cte', 'WITH c AS (SELECT x, w, st FROM b) SELECT x, w, st AS outcome FROM c');
CALL train_from('recursive', $$WITH RECURSIVE c (x, w, outcome, n) AS (SELECT x, w, st, 1 FROM b UNION ALL SELECT x, w, outcome, n + 1 FROM c WHERE n < 2)
    SELECT x, w, outcome FROM c$$);
CALL train_from('union', $$SELECT xs AS x, w, st AS outcome FROM b UNION ALL SELECT x, w, 'good' FROM b$$);
CREATE MATERIALIZED VIEW bm AS SELECT * FROM bv;
CREATE VIEW bmv AS SELECT x, w, outcome AS st FROM bm;
CALL train_from('views', 'SELECT x, w, st AS outcome FROM bmv');
CALL train_from('field', 'SELECT (b).x, (b).w, (b).st AS outcome FROM b');
CALL train_from('scalar', 'SELECT x, w, (SELECT c.st FROM b AS c WHERE c.id = b.id) AS outcome FROM b');
CALL train_from('grouped', 'SELECT id, max(x) AS x, avg(w) AS w, st AS outcome FROM b GROUP BY id, st', options => '{"validation_group": "id"}');
CALL train_from('lateral', 'SELECT x, w, outcome FROM b, LATERAL (VALUES (b.st)) AS l (outcome)');
SELECT m, string_agg(as_column || CASE part WHEN 'target' THEN '!' WHEN 'option' THEN '?' ELSE '' END || '=' || origin, ' ' ORDER BY as_column, origin)
    FROM unnest(ARRAY['alias', 'cast', 'made', 'joined', 'cte', 'recursive', 'union', 'views', 'field', 'scalar', 'grouped', 'lateral']) WITH ORDINALITY AS l (m, n),
         origins(m) GROUP BY m, n ORDER BY n;
DO $$
DECLARE m text;
BEGIN
    FOREACH m IN ARRAY ARRAY['alias', 'cast', 'joined', 'cte', 'recursive', 'union', 'views', 'field', 'scalar', 'lateral'] LOOP
        ASSERT (SELECT count(*) FROM origins(m) WHERE part = 'target' AND origin = 'learning.b.st') = 1, m;
    END LOOP;
END $$;
CALL neural.score_table('made', 'b', 'st'); \echo :SQLSTATE
CALL neural.score_table('views', 'b', 'st'); \echo :SQLSTATE
CALL neural.score_table('union', 'b', 'xs'); \echo :SQLSTATE
-- What only an option names may be written.
CALL train_from('weighted', 'SELECT x, w, st AS outcome, id::float8 AS weight, xs AS spare FROM b', options => '{"sample_weight": "weight"}');
SELECT * FROM origins('weighted');

-- Renamed after the training: column, table, both; and another column of the old name.
CREATE TABLE r AS SELECT id, x, w, st FROM b;
CALL train_from('renamed', 'SELECT x, w, st FROM r', 'st');
ALTER TABLE r RENAME st TO truth;
CALL neural.score_table('renamed', 'r', 'truth'); \echo :SQLSTATE
ALTER TABLE r RENAME x TO y;
ALTER TABLE r ADD x float8;
UPDATE r SET x = y;
CALL neural.score_table('renamed', 'r', 'y'); \echo :SQLSTATE
ALTER TABLE r RENAME TO r2;
CALL neural.score_table('renamed', 'r2', 'truth'); \echo :SQLSTATE
-- A table made anew under the name, as a restore does.
CALL train_from('restored', 'SELECT x, w, truth AS outcome FROM r2');
ALTER TABLE r2 RENAME TO r3;
CREATE TABLE r2 AS TABLE r3;
CALL neural.score_table('restored', 'r2', 'truth'); \echo :SQLSTATE
CALL neural.score_table('restored', 'r3', 'truth'); \echo :SQLSTATE
-- In another database an OID alone does not count.
UPDATE _neural.version SET origins = (SELECT jsonb_agg(o || '{"database": "1/1", "table": "gone"}') FROM jsonb_array_elements(origins) AS o)
    WHERE model = (SELECT id FROM _neural.model WHERE name = 'restored');
CALL neural.score_table('restored', 'r3', 'truth'); \echo :SQLSTATE
UPDATE _neural.version SET origins = (SELECT jsonb_agg(o || '{"name": "gone"}') FROM jsonb_array_elements(origins) AS o)
    WHERE model = (SELECT id FROM _neural.model WHERE name = 'restored');
CALL neural.score_table('restored', 'r3', 'truth'); \echo :SQLSTATE

-- Partitions and heirs count with what they belong to, and with each other.
CREATE TABLE p (part int, x float8, w float8, st text, answer text) PARTITION BY LIST (part);
CREATE TABLE p1 (st text, x float8, w float8, answer text, part int);
ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO p SELECT 1 + id % 2, x, w, st FROM b;
CALL train_from('parted', 'SELECT x, w, st AS outcome FROM p1');
CALL neural.score_table('parted', 'p', 'st'); \echo :SQLSTATE
CALL neural.score_table('parted', 'p1', 'st'); \echo :SQLSTATE
CALL neural.score_table('parted', 'p2', 'st'); \echo :SQLSTATE
CALL neural.score_table('parted', 'p', 'answer');
CREATE TABLE h (x float8, w float8, st text, answer text);
CREATE TABLE h1 (st text) INHERITS (h);
INSERT INTO h1 SELECT x, w, st FROM b;
CALL train_from('inherited', 'SELECT x, w, st AS outcome FROM h');
CALL neural.score_table('inherited', 'h1', 'st'); \echo :SQLSTATE
CALL train_from('heir', 'SELECT x, w, st AS outcome FROM ONLY h1');
CALL neural.score_table('heir', 'h', 'st'); \echo :SQLSTATE
CALL neural.score_table('heir', 'h', 'answer');

-- A generated column that the model was trained from.
CREATE TABLE g AS SELECT x, w, st AS raw FROM b;
ALTER TABLE g ADD st text GENERATED ALWAYS AS (raw) STORED;
CALL train_from('generated', 'SELECT x, w, st AS outcome FROM g');
CALL neural.score_table('generated', 'g', 'raw'); \echo :SQLSTATE

-- Every version counts, one of another threshold too; what is imported has none.
CREATE TABLE o AS SELECT id, x, w, st AS truth FROM b;
CALL train_from('renamed', 'SELECT x, w, truth AS st FROM o', 'st');
CALL neural.score_table('renamed', 'r3', 'truth'); \echo :SQLSTATE
CALL neural.score_table('renamed', 'o', 'truth'); \echo :SQLSTATE
SELECT neural.drop_model('renamed', 1), neural.set_threshold('renamed', 0.3);
SELECT neural.drop_model('renamed', 2);
CALL neural.score_table('renamed', 'o', 'truth'); \echo :SQLSTATE
SELECT neural.import_model('copy', neural.export_model('renamed')), position('truth' IN encode(neural.export_model('renamed'), 'escape')) > 0 AS in_query,
       position('origins' IN encode(neural.export_model('renamed'), 'escape')) > 0 AS in_file;
SELECT count(*) FROM origins('copy');
-- Another role that may call the model is kept off as well.
CREATE ROLE learning_caller;
GRANT USAGE ON SCHEMA learning TO learning_caller;
GRANT ALL ON o TO learning_caller;
GRANT EXECUTE ON PROCEDURE neural.score_table TO learning_caller;
SELECT neural.grant_model('renamed', 'learning_caller');
SET ROLE learning_caller;
CALL neural.score_table('renamed', 'o', 'truth'); \echo :SQLSTATE
SELECT origins FROM _neural.version; \echo :SQLSTATE
RESET ROLE;
SELECT neural.revoke_model('renamed', 'learning_caller');
DROP OWNED BY learning_caller;
DROP ROLE learning_caller;
DROP SCHEMA learning CASCADE;
