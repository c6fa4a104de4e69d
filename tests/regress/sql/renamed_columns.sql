-- A row's columns go by the names and types that its type has at that moment, also where one expression goes on
-- being evaluated while they change. The model gives 2 a - b.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA renamed;
SET search_path = renamed;

CREATE FUNCTION tensor(name text, shape text, numbers float4[]) RETURNS TABLE (entry text, bytes bytea) LANGUAGE sql AS $f$
    SELECT format('"%s":{"dtype":"F32","shape":%s,"data_offsets":[%%s,%%s]}', name, shape),
           (SELECT string_agg(substring(b FROM 4 FOR 1) || substring(b FROM 3 FOR 1) || substring(b FROM 2 FOR 1) || substring(b FROM 1 FOR 1), '' ORDER BY n)
              FROM (SELECT float4send(x) AS b, n FROM unnest(numbers) WITH ORDINALITY AS u (x, n)) AS s) $f$;
CREATE FUNCTION weights(w float4[]) RETURNS bytea LANGUAGE sql AS $f$
    WITH t AS (SELECT * FROM tensor('fc.bias', '[1]', '{0}') UNION ALL SELECT * FROM tensor('fc.weight', format('[1,%s]', cardinality(w)), w)),
    h AS (SELECT convert_to('{' || string_agg(format(entry, CASE WHEN length(bytes) = 4 AND entry LIKE '"fc.b%' THEN 0 ELSE 4 END,
                                              CASE WHEN entry LIKE '"fc.b%' THEN 4 ELSE 4 + length(bytes) END), ',' ORDER BY entry) || '}', 'UTF8') AS header,
                 string_agg(bytes, ''::bytea ORDER BY entry) AS body FROM t)
    SELECT set_byte('\x0000000000000000', 0, length(header)) || header || body FROM h $f$;
SELECT neural.import_weights('line', weights('{2,-1}'), '{"layers": [{"type": "output", "name": "fc"}]}', 'regression',
    '[{"name": "a", "type": "numeric"}, {"name": "b", "type": "numeric"}]');
SELECT neural.import_weights('pinned', weights('{2,-1}'), '{"layers": [{"type": "output", "name": "fc"}]}', 'regression',
    '[{"name": "a", "type": "numeric"}, {"name": "b", "type": "numeric"}]') = 1 AS imported;

-- What happens to the columns between two evaluations of one expression; NULL: an error, whose SQLSTATE stands beside.
CREATE FUNCTION changed(change text, expression text DEFAULT 'neural.predict(''line'', r)', OUT first float8, OUT second float8, OUT code text)
LANGUAGE plpgsql AS $f$
BEGIN
    DROP TABLE IF EXISTS t CASCADE;
    DROP TYPE IF EXISTS c CASCADE;
    CREATE TABLE t (unused int, a float8, b float8, spare float8 DEFAULT 5);
    ALTER TABLE t DROP COLUMN unused;
    INSERT INTO t VALUES (1, 10);
    CREATE TYPE c AS (a float8, b float8, spare float8);
    EXECUTE format($x$
        CREATE OR REPLACE FUNCTION scored() RETURNS float8[] LANGUAGE plpgsql AS $g$
        DECLARE
            r t; q c; many t[]; s float8; result float8[];
        BEGIN
            FOR i IN 1 .. 2 LOOP
                SELECT * INTO r FROM t;
                SELECT ((1, 10, 5)::c).* INTO q;
                s := %s;
                result := result || s;
                IF i = 1 THEN %s END IF;
            END LOOP;
            RETURN result;
        END $g$ $x$, expression, change);
    SELECT s[1], s[2] INTO first, second FROM scored() AS s;
EXCEPTION WHEN OTHERS THEN
    code := SQLSTATE;
END $f$;
\set swap 'ALTER TABLE t RENAME a TO x; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME x TO b;'
\set swap_type 'ALTER TYPE c RENAME ATTRIBUTE a TO x; ALTER TYPE c RENAME ATTRIBUTE b TO a; ALTER TYPE c RENAME ATTRIBUTE x TO b;'
SELECT what, b.* FROM (VALUES
    (1, 'a table''s columns change names', :'swap', 'neural.predict(''line'', r)'),
    (2, 'pinned', :'swap', format('neural.predict_pinned(%L, r)', (SELECT sha256 FROM neural.model_versions WHERE model = 'pinned'))),
    (3, 'a composite type''s', :'swap_type', 'neural.predict(''line'', q)'),
    (4, 'gone: renamed', 'ALTER TABLE t RENAME b TO bb;', 'neural.predict(''line'', r)'),
    (5, 'gone: renamed in a type', 'ALTER TYPE c RENAME ATTRIBUTE b TO bb;', 'neural.predict(''line'', q)'),
    (6, 'gone: dropped', 'ALTER TABLE t DROP COLUMN b;', 'neural.predict(''line'', r)'),
    (7, 'dropped and there again', 'ALTER TABLE t DROP COLUMN b; ALTER TABLE t ADD COLUMN b float8 DEFAULT 4;', 'neural.predict(''line'', r)'),
    (8, 'dropped, another of its name', 'ALTER TABLE t DROP COLUMN b; ALTER TABLE t RENAME spare TO b;', 'neural.predict(''line'', r)'),
    (9, 'of another type', 'ALTER TABLE t ALTER COLUMN a TYPE numeric;', 'neural.predict(''line'', r)'),
    (10, 'of a type that does not fit', 'ALTER TABLE t ALTER COLUMN a TYPE text;', 'neural.predict(''line'', r)'),
    (11, 'in IF', :'swap', 'CASE WHEN neural.predict(''line'', r) > 0 THEN neural.predict(''line'', r) ELSE neural.predict(''line'', r) END'),
    (12, 'nothing', 'NULL;', 'neural.predict(''line'', r)')) AS v (n, what, change, expression),
    LATERAL changed(change, expression) AS b ORDER BY n;

-- A trigger's new row.
CREATE TABLE w (a float8, b float8, score float8);
CREATE FUNCTION score_it() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
    NEW.score := neural.predict('line', NEW);
    RETURN NEW;
END $f$;
CREATE TRIGGER score_it BEFORE INSERT ON w FOR EACH ROW EXECUTE FUNCTION score_it();
BEGIN;
INSERT INTO w VALUES (1, 10);
ALTER TABLE w RENAME a TO x;
ALTER TABLE w RENAME b TO a;
ALTER TABLE w RENAME x TO b;
INSERT INTO w VALUES (1, 10);
ALTER TABLE w DROP COLUMN b;
SAVEPOINT s;
\set VERBOSITY sqlstate
INSERT INTO w VALUES (1, 10);
\set VERBOSITY default
ROLLBACK TO s;
ALTER TABLE w ADD COLUMN b float8;
INSERT INTO w (a, b) VALUES (3, 4);
COMMIT;
SELECT array_agg(score ORDER BY score) FROM w;
-- The change undone.
BEGIN;
ALTER TABLE w RENAME a TO x;
ALTER TABLE w RENAME b TO a;
ALTER TABLE w RENAME x TO b;
INSERT INTO w (a, b) VALUES (3, 4) RETURNING score;
ROLLBACK;
INSERT INTO w (a, b) VALUES (3, 4) RETURNING score;

-- Rows as the steps of a sequence: the order of steps is the same, what they are called is not.
CREATE TABLE long AS SELECT g AS id, n, sin(g * n) AS a, cos(g + n) AS b, g % 2 = 0 AS even
FROM generate_series(1, 60) AS g, generate_series(1, 4) AS n;
SELECT version FROM neural.train('steps', 'long', 'even', epochs => 2, seed => 1,
    architecture => '{"layers": [{"type": "gru", "units": 4}]}',
    options => '{"verbose": false, "sequence_by": "id", "order_by": "n"}');
CREATE FUNCTION steps_scored() RETURNS boolean[] LANGUAGE plpgsql AS $f$
DECLARE
    many long[]; s float8; q float8; result boolean[];
BEGIN
    FOR i IN 1 .. 2 LOOP
        SELECT array_agg(l ORDER BY n) INTO many FROM long AS l WHERE id = 7;
        s := neural.predict('steps', many);
        EXECUTE 'SELECT neural.predict(''steps'', array_agg(l ORDER BY n)) FROM long AS l WHERE id = 7' INTO q;
        result := result || (s = q);
        ALTER TABLE long RENAME a TO x; ALTER TABLE long RENAME b TO a; ALTER TABLE long RENAME x TO b;
    END LOOP;
    RETURN result;
END $f$;
SELECT steps_scored();

-- Batches: a cached plan of a query over a table whose columns change names.
CREATE TABLE batch AS SELECT 1.0::float8 AS a, 10.0::float8 AS b FROM generate_series(1, 20);
PREPARE total AS SELECT sum(neural.predict('line', x)) FROM batch AS x;
EXECUTE total;
ALTER TABLE batch RENAME a TO x; ALTER TABLE batch RENAME b TO a; ALTER TABLE batch RENAME x TO b;
EXECUTE total;
SET neural.batch_scoring = off;
EXECUTE total;
RESET neural.batch_scoring;
DEALLOCATE total;
RESET search_path;
DROP SCHEMA renamed CASCADE;
SELECT count(neural.drop_model(name)) FROM neural.models;
