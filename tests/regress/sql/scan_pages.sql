-- Rows that are taken from the pages of a table: the values are those of a scan that returns them one by
-- one, and so is whatever counts them.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE pages AS
SELECT i AS id, 'row ' || i AS name, i % 3 AS branch, sin(i) AS a, cos(i) AS b, i % 100 AS c, sin(i) + cos(i * 3) > 0 AS y
FROM generate_series(1, 3000) AS i;
DELETE FROM pages WHERE id % 50 = 0;
VACUUM ANALYZE pages;
SELECT version FROM neural.train('risk', 'SELECT a, b, c, y FROM pages', 'y', epochs => 1, seed => 1,
    options => '{"verbose": false}');
SELECT neural.create_function('predict_risk', 'risk');

-- What EXPLAIN counts of the scan, and the statistics of the table.
CREATE FUNCTION counts(query text, type text, OUT rows int, OUT loops int, OUT filtered int, OUT returned int,
    OUT blocks int)
LANGUAGE plpgsql AS $$
DECLARE plan jsonb; node jsonb; before bigint := pg_stat_get_xact_tuples_returned('pages'::regclass);
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ' || query INTO plan;
    node := jsonb_path_query_first(plan, 'strict $.** ? (@."Node Type" == $type)', jsonb_build_object('type', type));
    rows := (node ->> 'Actual Rows')::numeric;
    loops := node ->> 'Actual Loops';
    filtered := (node ->> 'Rows Removed by Filter')::numeric;
    blocks := (node ->> 'Shared Hit Blocks')::int + (node ->> 'Shared Read Blocks')::int;
    returned := pg_stat_get_xact_tuples_returned('pages'::regclass) - before;
END $$;
CREATE FUNCTION both_ways(query text, type text = 'Seq Scan')
RETURNS TABLE (nodes int, rows int, loops int, filtered int, returned int, same_counts bool, same_rows bool)
LANGUAGE plpgsql AS $$
DECLARE plan jsonb; batches text[]; one_by_one text[]; counted record; expected record;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    nodes := (SELECT count(*) FROM jsonb_path_query(plan, 'strict $.** ? (@."Custom Plan Provider" == "NeuralScore")'));
    counted := counts(query, type);
    EXECUTE format('SELECT array_agg(r::text ORDER BY r::text) FROM (%s) AS r', query) INTO batches;
    SET LOCAL neural.batch_scoring = off;
    expected := counts(query, type);
    EXECUTE format('SELECT array_agg(r::text ORDER BY r::text) FROM (%s) AS r', query) INTO one_by_one;
    SET LOCAL neural.batch_scoring = on;
    SELECT counted.rows, counted.loops, counted.filtered, counted.returned INTO rows, loops, filtered, returned;
    -- Without batches the scan itself may look the model up.
    counted.blocks := expected.blocks;
    same_counts := counted = expected;
    same_rows := batches IS NOT DISTINCT FROM one_by_one;
    RETURN NEXT;
END $$;

SELECT * FROM both_ways('SELECT sum(predict_risk(a, b, c)::numeric) FROM pages');
SELECT * FROM both_ways('SELECT id, name, predict_risk(a, b, c) FROM pages');
SELECT blocks = pg_relation_size('pages') / current_setting('block_size')::int AS each_page_once
FROM counts('SELECT sum(predict_risk(a, b, c)::numeric) FROM pages', 'Seq Scan');
-- With a filter, some rows of which come from the page's list and some from the scan.
SELECT * FROM both_ways('SELECT id, predict_risk(a, b, c) FROM pages WHERE branch = 1 AND 10 / (id % 3) > 0');
SELECT * FROM both_ways('SELECT id, predict_risk(a, b, c) FROM pages WHERE id > 2990');
SELECT * FROM both_ways('SELECT id, predict_risk(a, b, c) FROM pages WHERE id = 0');
-- A system column, a whole row, arguments that are computed.
SELECT * FROM both_ways('SELECT ctid, tableoid::regclass, predict_risk(a, b, c) FROM pages');
SELECT * FROM both_ways('SELECT neural.predict(''risk'', p) FROM pages AS p');
SELECT * FROM both_ways('SELECT id, predict_risk(a * 2, b, c), CASE WHEN branch = 1 THEN predict_risk(b, a, c) END FROM pages');
-- One scan after the other, and one that ends early.
SELECT * FROM both_ways('SELECT s.* FROM generate_series(0, 2) AS g, LATERAL
    (SELECT sum(predict_risk(a, b, c)::numeric) FROM pages WHERE branch = g OFFSET 0) AS s');
SELECT * FROM both_ways('SELECT id, predict_risk(a, b, c) FROM pages LIMIT 100 OFFSET 20');
SELECT * FROM both_ways('SELECT g, s.* FROM generate_series(1, 3) AS g, LATERAL
    (SELECT id, predict_risk(a, b, g) FROM pages WHERE branch = g % 3 LIMIT 10 * g) AS s');
SET neural.batch_rows = 7;
SELECT * FROM both_ways('SELECT id, name, predict_risk(a, b, c) FROM pages WHERE branch <> 1');
RESET neural.batch_rows;
-- Other scans come with the same rows.
SET enable_seqscan = off;
ALTER TABLE pages ADD PRIMARY KEY (id);
SELECT * FROM both_ways('SELECT id, name, predict_risk(a, b, c) FROM pages WHERE id < 1000', 'Index Scan');
SET enable_indexscan = off;
SELECT * FROM both_ways('SELECT id, name, predict_risk(a, b, c) FROM pages WHERE id < 1000', 'Bitmap Heap Scan');
RESET enable_seqscan;
RESET enable_indexscan;
SELECT * FROM both_ways('SELECT id, predict_risk(a, b, c) FROM pages TABLESAMPLE SYSTEM (100)', 'Sample Scan');

-- Columns that have gone, and that have come after some of the rows.
ALTER TABLE pages DROP COLUMN name, ADD COLUMN d float8 DEFAULT 0.25, ADD COLUMN e text DEFAULT repeat('long', 20),
    ADD COLUMN f float8;
INSERT INTO pages (id, branch, a, b, c, d, e, f)
SELECT i, i % 3, sin(i), nullif(cos(i), cos(3003)), i % 100, tan(i), repeat(md5(i::text), i % 200), i FROM generate_series(3001, 3100) AS i;
SELECT * FROM both_ways('SELECT id, predict_risk(a, b, c) FROM pages');
SELECT * FROM both_ways('SELECT e, f, predict_risk(d, f, c) FROM pages');
SELECT * FROM both_ways('SELECT e, f, predict_risk(d, f, c) FROM pages WHERE d < 0.5 AND branch < 2');
UPDATE pages SET c = c + 1 WHERE id % 7 = 0;
SELECT * FROM both_ways('SELECT p.*, predict_risk(d, f, c) FROM pages AS p');

-- A transaction sees its own rows and a temporary table's pages are its own.
BEGIN;
DELETE FROM pages WHERE branch = 0;
INSERT INTO pages (id, branch, a, b, c) VALUES (4000, 1, 0.5, 0.5, 1);
SELECT * FROM both_ways('SELECT id, predict_risk(a, b, c) FROM pages');
ROLLBACK;
CREATE TEMPORARY TABLE passing AS SELECT * FROM pages;
SELECT same_rows FROM both_ways('SELECT id, e, predict_risk(a, b, c) FROM passing WHERE branch <> 2');

-- Long runs of neighbours of each width, without NULLs and with some, behind a text and not.
DO $$
DECLARE names text; makes text;
BEGIN
    SELECT string_agg(name, ', ' ORDER BY n), string_agg(format('CASE WHEN i %% 3 = 0 OR i %% %s <> 0 THEN %s END AS %s',
        n + 2, value, name), ', ' ORDER BY n) INTO names, makes
    FROM (SELECT n, (ARRAY['x', 'n', 's', 'r'])[1 + n / 17] || n % 17 AS name,
              format((ARRAY['sin(i * %s)', '(1000 * sin(i * %s))::int', '(100 * sin(i + %s))::int2', 'cos(i * %s)::real'])[1 + n / 17], n + 1) AS value
          FROM generate_series(0, 67) AS n) AS columns;
    EXECUTE format('CREATE TABLE runs AS SELECT i AS id, %s, i %% 7 = 0 AS y FROM generate_series(1, 1000) AS i', makes);
    EXECUTE format('CREATE TABLE behind AS SELECT repeat(''t'', i %% 130) AS t, i AS id, %s FROM generate_series(1, 1000) AS i', makes);
    PERFORM neural.train('long', format('SELECT %s, y FROM runs', names), 'y', epochs => 1, seed => 1,
        options => '{"verbose": false}');
    EXECUTE format('CREATE VIEW calls AS SELECT %L::text AS call', format('neural.predict(''long'', %s)', names));
    EXECUTE format('CREATE VIEW mixed AS SELECT %L::text AS call', format('neural.predict(''long'', %s)',
        (SELECT string_agg(name, ', ' ORDER BY n % 2, n) FROM regexp_split_to_table(names, ', ') WITH ORDINALITY AS a (name, n))));
END $$;
SELECT b.nodes, b.rows, b.same_rows FROM calls, both_ways(format('SELECT id, %s FROM runs', call)) AS b;
SELECT b.nodes, b.rows, b.same_rows FROM calls, both_ways(format('SELECT t, id, x5, n3, r9, s16, %s FROM behind', call)) AS b;
SELECT b.nodes, b.rows, b.same_rows FROM calls, both_ways(format('SELECT id, %s FROM runs WHERE x3 IS NULL OR x16 > 0', call)) AS b;
SELECT b.nodes, b.rows, b.same_rows FROM mixed, both_ways(format('SELECT id, %s, s3, s4, s5, x0, x1 FROM behind', call)) AS b;
DROP VIEW calls, mixed;
DROP TABLE runs, behind;

-- Every row is written once.
UPDATE pages SET d = predict_risk(a, b, c);
SELECT count(*) FROM pages WHERE d IS DISTINCT FROM predict_risk(a, b, c);
DROP TABLE pages, passing;
DROP FUNCTION both_ways, counts, predict_risk;
