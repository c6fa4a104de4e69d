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
-- What an option names shapes the training, too.
CREATE TABLE o AS SELECT id, x, w, st, xs AS spare, (id % 9)::float8 AS g, (id % 5 = 0)::int::float8 AS held FROM b;
CALL train_from('weighted', 'SELECT x, w, st AS outcome, id::float8 AS weight, spare, g AS household FROM o',
    options => '{"sample_weight": "weight", "validation_group": "household"}');
SELECT * FROM origins('weighted');
CALL neural.score_table('weighted', 'o', 'id'); \echo :SQLSTATE
CALL neural.score_table('weighted', 'o', 'g'); \echo :SQLSTATE
CALL train_from('held', 'SELECT x, w, st AS outcome, held > 0 AS out FROM o', options => '{"validation_split": "out"}');
CALL neural.score_table('held', 'o', 'held'); \echo :SQLSTATE
CALL neural.score_table('held', 'o', 'g'); \echo :SQLSTATE
DROP TABLE o;

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

-- One that was detached, or does not inherit any more, is a table of its own.
ALTER TABLE p DETACH PARTITION p2;
ALTER TABLE p2 RENAME TO p2_alone;
ALTER TABLE p2_alone RENAME st TO truth;
CALL train_from('parted', 'SELECT x, w, st AS outcome FROM p');
CALL neural.score_table('parted', 'p2_alone', 'truth');
ALTER TABLE p DETACH PARTITION p1;
ALTER TABLE p1 RENAME TO p1_alone;
ALTER TABLE p1_alone RENAME st TO truth;
CALL neural.score_table('parted', 'p1_alone', 'truth'); \echo :SQLSTATE
CALL train_from('inherited', 'SELECT x, w, st AS outcome FROM h');
ALTER TABLE h1 NO INHERIT h;
ALTER TABLE h1 RENAME TO h1_alone;
ALTER TABLE h1_alone RENAME st TO truth;
CALL neural.score_table('inherited', 'h1_alone', 'truth'); \echo :SQLSTATE
SELECT as_column, part, origin, jsonb_array_length(o->'heirs') AS heirs
    FROM _neural.version v JOIN _neural.model m ON m.id = v.model, jsonb_array_elements(v.origins) AS o,
         LATERAL (SELECT o->>'column', o->>'part', o->>'name') AS l (as_column, part, origin)
    WHERE m.name IN ('parted', 'inherited') AND o->>'part' = 'target' AND o ? 'heirs' ORDER BY m.name, number;

-- A generated column that the model was trained from.
CREATE TABLE g AS SELECT x, w, st AS raw FROM b;
ALTER TABLE g ADD st text GENERATED ALWAYS AS (raw) STORED;
CALL train_from('generated', 'SELECT x, w, st AS outcome FROM g');
CALL neural.score_table('generated', 'g', 'raw'); \echo :SQLSTATE
-- What it was generated from stays so when it is dropped, in partitions too.
CREATE TABLE gp (part int, x float8, w float8, raw text, other text, answer float8,
    st text GENERATED ALWAYS AS (lower(raw)) STORED) PARTITION BY LIST (part);
CREATE TABLE gp1 PARTITION OF gp FOR VALUES IN (1);
INSERT INTO gp SELECT 1, x, w, st, st FROM b;
CALL train_from('generated_part', 'SELECT x, w, st AS outcome FROM gp');
SELECT m, as_column, part, origin FROM unnest(ARRAY['generated', 'generated_part']) WITH ORDINALITY AS l (m, n), origins(m)
    WHERE part = 'target' ORDER BY n, origin;
ALTER TABLE g DROP st;
ALTER TABLE gp DROP st;
CALL neural.score_table('generated', 'g', 'raw'); \echo :SQLSTATE
CALL neural.score_table('generated_part', 'gp', 'raw'); \echo :SQLSTATE
CALL neural.score_table('generated_part', 'gp1', 'raw'); \echo :SQLSTATE
CALL neural.score_table('generated_part', 'gp', 'other'); \echo :SQLSTATE
CALL neural.score_table('generated_part', 'gp', 'answer'); \echo :SQLSTATE

-- A field of a row, and rows as a whole.
SET client_min_messages = error;
CREATE TABLE s AS SELECT id, x, w, st, st AS truth, id % 5 AS k, id % 3 AS place FROM b;
CREATE FUNCTION target_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE columns text;
BEGIN
    BEGIN
        CALL train_from('asked', query);
        SELECT string_agg(DISTINCT replace(origin, 'learning.', ''), ' ' ORDER BY replace(origin, 'learning.', '')) INTO columns
            FROM origins('asked') WHERE part = 'target';
        RAISE EXCEPTION USING ERRCODE = 'UE000';
    EXCEPTION WHEN SQLSTATE 'UE000' THEN
    END;
    RETURN columns;
END $$;
CREATE TABLE l AS SELECT k, chr(65 + k % 2) AS label, k > 2 AS old FROM generate_series(0, 4) AS k;
CREATE VIEW sv AS SELECT id, x, w, s AS r FROM s;
CREATE MATERIALIZED VIEW sm AS SELECT id, x, w, s.truth FROM s WHERE place < 9;
SELECT what, target_of(query) FROM (VALUES
    ('row of a subquery', 'SELECT (r).x, (r).w, (r).truth AS outcome FROM (SELECT s AS r FROM s) AS z'),
    ('row of a view', 'SELECT x, w, (r).truth AS outcome FROM sv'),
    ('row of a row', 'SELECT x, w, ((z).r).truth AS outcome FROM (SELECT x, w, sv AS z FROM sv) AS z'),
    ('row of a CTE', 'WITH c AS MATERIALIZED (SELECT s AS r FROM s) SELECT (r).x, (r).w, (c.r).truth AS outcome FROM c'),
    ('row that is made', 'SELECT x, w, (r).f2 AS outcome FROM (SELECT x, w, ROW(k, truth) AS r FROM s) AS z (x, w, r), LATERAL (SELECT 1) AS o'),
    ('row of a UNION', 'SELECT (r).x, (r).w, (r).truth AS outcome FROM (SELECT s AS r FROM s UNION ALL SELECT s FROM s WHERE k = 9) AS z'),
    ('row of a scalar', 'SELECT x, w, ((SELECT t FROM s AS t WHERE t.id = s.id)).truth AS outcome FROM s'),
    ('whole row', $q$SELECT x, w, to_jsonb(s)->>'truth' AS outcome FROM s$q$),
    ('whole row of a view', $q$SELECT x, w, to_jsonb(bv)->>'outcome' AS outcome FROM bv$q$),
    ('whole row of a join', $q$SELECT x, w, to_jsonb(j)->>'truth' AS outcome FROM (s JOIN l USING (k)) AS j$q$),
    ('rows compared', 'SELECT x, w, (z IS NOT NULL) AS outcome FROM (SELECT x, w, nullif(truth, $$bad$$) AS n FROM s) AS z'))
    AS q (what, query);

-- What decides which value it is.
SELECT what, target_of(query) FROM (VALUES
    ('WHERE', 'SELECT x, w, st AS outcome FROM s WHERE truth IS NOT NULL AND k < 9'),
    ('EXISTS', 'SELECT x, w, EXISTS (SELECT FROM s AS t WHERE t.id = s.id AND t.truth = $$bad$$) AS outcome FROM s'),
    ('IN', 'SELECT x, w, id IN (SELECT t.id FROM s AS t WHERE t.truth = $$bad$$) AS outcome FROM s'),
    ('CASE', 'SELECT x, w, CASE WHEN (SELECT count(*) FROM s AS t WHERE t.id = s.id AND truth = $$bad$$) > 0 THEN 1 ELSE 0 END > 0 AS outcome FROM s'),
    ('subquery of a subquery', 'SELECT x, w, EXISTS (SELECT FROM (SELECT id FROM s WHERE truth = $$bad$$) AS t WHERE t.id = s.id) AS outcome FROM s'),
    ('newest', 'SELECT x, w, (SELECT st FROM s AS t WHERE t.id = s.id ORDER BY t.place LIMIT 1) AS outcome FROM s'),
    ('array', 'SELECT x, w, (ARRAY(SELECT st FROM s AS t WHERE t.id = s.id ORDER BY t.place))[1] AS outcome FROM s'),
    ('HAVING', 'SELECT x, w, EXISTS (SELECT FROM s AS t WHERE t.id = s.id GROUP BY t.id HAVING max(t.truth) = $$good$$) AS outcome FROM s'),
    ('outer join', 'SELECT s.x, s.w, p.id IS NOT NULL AS outcome FROM s LEFT JOIN s AS p ON p.id = s.id AND p.truth = $$bad$$'),
    ('outer join of a subquery', 'SELECT s.x, s.w, p.id IS NOT NULL AS outcome FROM s LEFT JOIN (SELECT id FROM s WHERE truth = $$bad$$) AS p ON p.id = s.id'),
    ('full join', 'SELECT x, w, p.y IS NOT NULL AS outcome FROM (SELECT id, $$yes$$ AS y FROM s WHERE truth = $$bad$$) AS p FULL JOIN s ON p.id = s.id WHERE x IS NOT NULL AND s.k < 9'),
    ('inner join', 'SELECT x, w, label AS outcome FROM s JOIN l ON l.k = s.place WHERE NOT old OR s.id < 999'),
    ('joined by WHERE', 'SELECT x, w, label AS outcome FROM s, l WHERE l.k = s.place AND s.st IS NOT NULL'),
    ('joined values', 'SELECT x, w, v.y AS outcome FROM s JOIN (VALUES ($$bad$$, 1.0), ($$good$$, 2.0)) AS v (t, y) ON v.t = s.truth'),
    ('joined by a subquery', 'SELECT x, w, label AS outcome FROM s, l WHERE EXISTS (SELECT FROM l AS m WHERE m.k = s.place AND m.label = l.label)'),
    ('lateral', 'SELECT x, w, outcome FROM s, LATERAL (SELECT true AS outcome WHERE s.truth = $$bad$$ UNION ALL SELECT false WHERE s.truth <> $$bad$$) AS l'),
    ('arms', 'SELECT x, w, true AS outcome FROM s WHERE truth = $$bad$$ UNION ALL SELECT x, w, false FROM s WHERE truth <> $$bad$$'),
    ('arms of CTEs', 'WITH c AS (SELECT x, w, true AS y, truth, k FROM s), d AS (SELECT * FROM c WHERE truth = $$bad$$), e AS (SELECT x, w, false AS y FROM s WHERE place > 0)
        SELECT x, w, y AS outcome FROM (SELECT x, w, y FROM d UNION ALL SELECT x, w, y FROM e) AS u WHERE x > -9'),
    ('arms with columns', 'SELECT x, w, st AS outcome FROM s WHERE k < 3 UNION ALL SELECT x, w, st FROM s WHERE k >= 3'),
    ('aggregate', 'SELECT k, avg(x) AS x, avg(w) AS w, bool_or(st = $$bad$$) FILTER (WHERE place > 0) AS outcome FROM s WHERE id > 0 GROUP BY k, id % 50'),
    ('sorted aggregate', 'SELECT avg(x) AS x, avg(w) AS w, (array_agg(st ORDER BY place))[1] AS outcome FROM s GROUP BY id % 50'),
    ('window', 'SELECT x, w, count(*) OVER (PARTITION BY truth ORDER BY place) AS outcome FROM s'),
    ('window by name', 'SELECT x, w, first_value(st) OVER o AS outcome FROM s WINDOW o AS (PARTITION BY k ORDER BY place)'),
    ('DISTINCT ON', 'SELECT DISTINCT ON (id) x, w, st AS outcome FROM s ORDER BY id, place'),
    ('materialized', 'SELECT x, w, EXISTS (SELECT FROM sm WHERE sm.id = s.id AND sm.truth = $$bad$$) AS outcome FROM s'))
    AS q (what, query);

-- How many rows there are, where a value is made from them.
CREATE FUNCTION of_target(query text) RETURNS text LANGUAGE sql AS $$ SELECT target_of('SELECT x, w, ' || query) $$;
SELECT what, of_target(query) FROM (VALUES
    ('GROUP BY', '(SELECT count(*) FROM (SELECT t.truth FROM s AS t GROUP BY t.truth) AS z) > id % 4 AS outcome FROM s'),
    ('GROUP BY of a row', '(SELECT count(*) FROM (SELECT FROM s AS t WHERE t.k = s.k GROUP BY t.truth, t.st) AS z) > id % 3 AS outcome FROM s'),
    ('DISTINCT', '(SELECT count(*) FROM (SELECT DISTINCT t.truth FROM s AS t) AS z) > id % 4 AS outcome FROM s'),
    ('DISTINCT under a window', 'n > 1 AND x > 0 AS outcome FROM s JOIN (SELECT k, count(*) OVER () AS n FROM (SELECT DISTINCT k, truth FROM s) AS z) AS y USING (k)'),
    ('EXCEPT', 'EXISTS (SELECT t.id FROM s AS t WHERE t.id = s.id EXCEPT SELECT p.id FROM s AS p WHERE p.truth = $q$bad$q$) AS outcome FROM s'),
    ('EXCEPT of columns', '(SELECT count(*) FROM (SELECT t.st FROM s AS t WHERE t.id = s.id EXCEPT SELECT p.truth FROM s AS p WHERE p.id < 9) AS z) = 0 AND x > 0 AS outcome FROM s'),
    ('INTERSECT', '(SELECT count(*) FROM (SELECT t.st FROM s AS t WHERE t.id = s.id INTERSECT SELECT $q$bad$q$) AS z) = 1 AS outcome FROM s'),
    ('UNION', '(SELECT count(*) FROM (SELECT t.truth FROM s AS t WHERE t.id = s.id UNION SELECT $q$good$q$) AS z) = 1 AS outcome FROM s'),
    ('UNION ALL', '(SELECT count(*) FROM (SELECT t.truth FROM s AS t WHERE t.id = s.id UNION ALL SELECT $q$good$q$) AS z) > id % 3 AS outcome FROM s'),
    ('UNION in UNION ALL', '(SELECT count(*) FROM ((SELECT t.truth FROM s AS t WHERE t.id = s.id UNION SELECT $q$good$q$) UNION ALL SELECT $q$a$q$) AS z) = 2 AS outcome FROM s'),
    ('sorted UNION', '(SELECT place FROM (SELECT t.place, t.truth FROM s AS t WHERE t.id = s.id UNION ALL SELECT 1, t.st FROM s AS t WHERE t.id = s.id ORDER BY 2 LIMIT 1) AS z) > 0 AS outcome FROM s'),
    ('outer join', 'p.id IS NOT NULL AS outcome FROM s LEFT JOIN (SELECT id FROM s WHERE k < 3 EXCEPT SELECT id FROM s WHERE truth = $q$bad$q$) AS p USING (id)'),
    ('outer join with DISTINCT', 'p.n IS NOT NULL AS outcome FROM s LEFT JOIN (SELECT DISTINCT 1 AS n, truth FROM s WHERE place > 0) AS p ON p.n = s.k'),
    ('rows of an array', '(SELECT count(*) FROM (SELECT unnest(ARRAY[nullif(t.truth, $q$bad$q$)]) FROM s AS t WHERE t.id = s.id) AS z (u) WHERE u IS NULL) = 1 AS outcome FROM s'),
    ('order of a subquery', '(SELECT (array_agg(st))[1] FROM (SELECT t.st FROM s AS t WHERE t.id = s.id ORDER BY t.truth) AS z) AS outcome FROM s'))
    AS q (what, query);

-- What chooses among joined rows: a row gets another partner by it.
CREATE TABLE e AS SELECT id, i AS nr, id % 7 + i AS ts, id % 3 AS place, CASE WHEN (id + i) % 2 = 0 THEN 'bad' ELSE 'good' END AS label, 0.5::float8 AS score
    FROM s, generate_series(1, 3) AS i;
CREATE VIEW latest AS SELECT DISTINCT ON (id) id, label FROM e ORDER BY id, ts DESC;
CREATE VIEW together AS SELECT s.id, x, w, label, row_number() OVER (PARTITION BY s.id ORDER BY e.ts DESC) AS rn, e.ts, e.score FROM s JOIN e USING (id);
SELECT what, of_target(query) FROM (VALUES
    ('lateral LIMIT', 'r.label AS outcome FROM s, LATERAL (SELECT label FROM e WHERE e.id = s.id ORDER BY ts DESC LIMIT 1) AS r'),
    ('lateral CTE', 'r.label AS outcome FROM s, LATERAL (WITH c AS (SELECT * FROM e WHERE e.id = s.id) SELECT label FROM c ORDER BY ts DESC LIMIT 1) AS r'),
    ('lateral WHERE', 'r.label AS outcome FROM s CROSS JOIN LATERAL (SELECT label FROM e WHERE e.id = s.id AND nr = 2) AS r'),
    ('lateral expression', 'r.y AS outcome FROM s, LATERAL (SELECT s.st AS y) AS r WHERE s.k < 9'),
    ('LIMIT', 'r.label AS outcome FROM s JOIN (SELECT id, label FROM e ORDER BY ts LIMIT 400) AS r USING (id)'),
    ('DISTINCT ON', 'r.label AS outcome FROM s JOIN (SELECT DISTINCT ON (id) id, label FROM e ORDER BY id, ts DESC) AS r USING (id)'),
    ('DISTINCT ON of a view', 'label AS outcome FROM s JOIN latest USING (id)'),
    ('DISTINCT ON of a CTE', 'label AS outcome FROM (WITH c AS (SELECT * FROM latest) SELECT x, w, c.label FROM c, s WHERE c.id = s.id) AS z'),
    ('DISTINCT ON of the join', 'outcome FROM (SELECT DISTINCT ON (s.id) x, w, label AS outcome FROM s JOIN e USING (id) ORDER BY s.id, e.ts DESC) AS z'),
    ('DISTINCT ON of a view of a join', 'outcome FROM (SELECT DISTINCT ON (id) x, w, label AS outcome FROM together ORDER BY id, ts DESC) AS z'),
    ('row_number', 'r.label AS outcome FROM s JOIN (SELECT id, label, row_number() OVER (PARTITION BY id ORDER BY ts DESC) AS rn FROM e) AS r USING (id) WHERE r.rn = 1'),
    ('row_number in ON', 'r.label AS outcome FROM s JOIN (SELECT id, label, row_number() OVER (PARTITION BY id ORDER BY ts DESC) AS rn FROM e) AS r ON r.id = s.id AND r.rn = 1'),
    ('row_number below', 'r.label AS outcome FROM s JOIN (SELECT id, label FROM (SELECT id, label, row_number() OVER (PARTITION BY id ORDER BY ts DESC) AS rn FROM e) AS z WHERE rn = 1) AS r USING (id)'),
    ('row_number over the join', 'label AS outcome FROM together WHERE rn = 1'),
    ('row_number of an arm', 'r.label AS outcome FROM s JOIN (SELECT id, label, rank() OVER (ORDER BY ts) AS rn FROM e UNION ALL SELECT id, label, 0 FROM e) AS r USING (id) WHERE r.rn < 300'),
    ('newest by a subquery', 'r.label AS outcome FROM s JOIN (SELECT id, label FROM e WHERE ts = (SELECT max(ts) FROM e AS f WHERE f.id = e.id)) AS r USING (id)'),
    ('newest by NOT EXISTS', 'r.label AS outcome FROM s JOIN (SELECT id, label FROM e WHERE NOT EXISTS (SELECT FROM e AS f WHERE f.id = e.id AND f.ts > e.ts)) AS r USING (id)'),
    ('newest by IN', 'label AS outcome FROM s JOIN e USING (id) WHERE (e.id, e.ts) IN (SELECT id, max(ts) FROM e GROUP BY id)'),
    ('newest by a number in IN', 'label AS outcome FROM s JOIN e USING (id) WHERE e.nr IN (SELECT nr FROM (SELECT nr, row_number() OVER (ORDER BY ts) AS rn FROM e) AS z WHERE rn = 1)'),
    ('newest by a join', 'label AS outcome FROM s JOIN e USING (id) JOIN (SELECT id, max(ts) AS ts FROM e GROUP BY id) AS m ON m.id = e.id AND m.ts = e.ts'),
    ('HAVING', 'r.label AS outcome FROM s JOIN (SELECT id, label FROM e GROUP BY id, label HAVING count(nullif(ts, 0)) > 1) AS r USING (id)'),
    ('HAVING of the join', 'outcome FROM (SELECT s.id, avg(x) AS x, avg(w) AS w, label AS outcome FROM s JOIN e USING (id) GROUP BY s.id, label HAVING max(ts) > 1) AS z'),
    ('groups below', 'r.label AS outcome FROM s JOIN (SELECT id, label FROM (SELECT id, label, sum(ts) AS n FROM e GROUP BY id, label) AS z WHERE n > 1) AS r USING (id)'),
    ('one partner for all', '(x > r.score) AS outcome FROM s, (SELECT score FROM e ORDER BY ts DESC LIMIT 1) AS r'))
    AS q (what, query);

-- What only decides which rows there are keeps nobody off, of one table or of several.
SELECT what, of_target(query) FROM (VALUES
    ('DISTINCT ON', 'outcome FROM (SELECT DISTINCT ON (id) x, w, st AS outcome FROM s ORDER BY id, place DESC) AS z'),
    ('DISTINCT ON of a CTE', 'outcome FROM (WITH c AS (SELECT DISTINCT ON (id) * FROM s ORDER BY id, place DESC) SELECT x, w, st AS outcome FROM c WHERE k < 9) AS z'),
    ('DISTINCT', 'outcome FROM (SELECT DISTINCT x, w, st AS outcome, place FROM s) AS z'),
    ('GROUP BY', 'outcome FROM (SELECT x, w, st AS outcome FROM s GROUP BY x, w, st, place HAVING count(*) < 9) AS z'),
    ('row_number', 'st AS outcome FROM (SELECT *, row_number() OVER (PARTITION BY id ORDER BY place DESC, truth) AS rn FROM s) AS z WHERE rn = 1'),
    ('LIMIT', 'outcome FROM (SELECT x, w, st AS outcome FROM s ORDER BY place DESC LIMIT 150) AS z'),
    ('newest', 'st AS outcome FROM s WHERE place = (SELECT max(place) FROM s AS t WHERE t.id = s.id)'),
    ('UNION', 'outcome FROM (SELECT x, w, st AS outcome FROM s WHERE k < 3 UNION SELECT x, w, st FROM s WHERE place > 0) AS z'),
    ('IN', 'st AS outcome FROM s WHERE id IN (SELECT id FROM s WHERE truth IS NOT NULL ORDER BY place LIMIT 150)'),
    ('set operations', 'outcome FROM (SELECT x, w, st AS outcome FROM s INTERSECT SELECT x, w, st FROM s WHERE place > 0 ORDER BY 1 LIMIT 99) AS z'),
    ('partitioned', 'st AS outcome FROM (SELECT *, rank() OVER (PARTITION BY id ORDER BY place) AS n, count(*) OVER (PARTITION BY k) AS m FROM s) AS z WHERE n = 1 AND m > 1'),
    ('expressions beside', 'r.y AS outcome FROM (SELECT DISTINCT ON (id) * FROM s ORDER BY id, place DESC) AS z, LATERAL (SELECT z.st AS y) AS r'),
    ('one row beside', 'outcome FROM (SELECT DISTINCT ON (id) x - m AS x, w, st AS outcome FROM s, (SELECT avg(t.x) AS m FROM s AS t) AS a ORDER BY id, place DESC) AS z'),
    ('rows of a join', 'label AS outcome FROM s JOIN e USING (id) WHERE e.nr = 1 AND s.place >= 0 AND e.score > 0'),
    ('rows of a joined view', 'label AS outcome FROM s JOIN (SELECT id, label FROM e WHERE nr = 1 AND score > 0) AS r USING (id)'),
    ('rows of a join in a list', 'label AS outcome FROM s JOIN e USING (id) WHERE e.nr = 1 AND s.k IN (SELECT k FROM l WHERE NOT old OR old)'))
    AS q (what, query);
CALL train_from('partner', 'SELECT x, w, r.label AS outcome FROM s, LATERAL (SELECT label FROM e WHERE e.id = s.id ORDER BY ts DESC LIMIT 1) AS r');
ALTER TABLE e ADD x float8, ADD w float8;
CALL neural.score_table('partner', 'e', 'ts'); \echo :SQLSTATE
CALL neural.score_table('partner', 'e', 'score'); \echo :SQLSTATE
CREATE TABLE once AS SELECT id, x, w, st, place::float8 AS place FROM s;
CALL train_from('once', 'SELECT DISTINCT ON (id) x, w, st AS outcome FROM once ORDER BY id, place DESC');
CALL neural.score_table('once', 'once', 'place'); \echo :SQLSTATE

ALTER TABLE s ADD answer text;
CALL train_from('whole', $$SELECT x, w, to_jsonb(t)->>'truth' AS outcome FROM s AS t$$);
ALTER TABLE s ADD later text;
CALL neural.score_table('whole', 's', 'truth'); \echo :SQLSTATE
CALL neural.score_table('whole', 's', 'answer'); \echo :SQLSTATE
CALL neural.score_table('whole', 's', 'later'); \echo :SQLSTATE
CALL train_from('exists', 'SELECT x, w, EXISTS (SELECT FROM s AS t WHERE t.id = s.id AND t.truth = $$bad$$) AS outcome FROM s');
CALL neural.score_table('exists', 's', 'truth'); \echo :SQLSTATE
CALL neural.score_table('exists', 's', 'answer'); \echo :SQLSTATE

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
-- So do those that were dropped, as long as the model is there.
CALL train_from('kept', 'SELECT x, w, truth AS outcome FROM o');
CALL train_from('kept', 'SELECT x, w, st AS outcome FROM s');
SELECT neural.drop_model('kept', 1);
CALL neural.score_table('kept', 'o', 'truth'); \echo :SQLSTATE
CALL train_from('kept', 'SELECT x, w, truth AS outcome FROM o');
CALL train_from('kept', 'SELECT x, w, st AS outcome FROM s');
SELECT neural.drop_model('kept', 2), neural.drop_model('kept', 3);
SELECT o->>'table' AS of, o->>'name' AS name, o->>'part' AS part FROM _neural.model, jsonb_array_elements(origins) AS o WHERE model.name = 'kept' ORDER BY 1, 2;
SELECT neural.drop_model('kept');
CALL train_from('kept', 'SELECT x, w, st AS outcome FROM s');
CALL neural.score_table('kept', 'o', 'truth'); \echo :SQLSTATE
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
