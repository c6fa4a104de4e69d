-- Rows of every origin, whose types change under a session: servers of November 2026 mark a row with its type's version.
SET client_min_messages = warning;
CREATE TYPE pair AS (x float8, z int);
CREATE TABLE points AS SELECT i * 0.5 AS x, i % 7 AS z, i * 0.7 AS y FROM generate_series(1, 99) AS i;
SELECT version FROM neural.train('plane', 'points', 'y', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT neural.create_function('plane', 'plane');
CREATE TABLE kept (id int, p pair, several pair[]);
INSERT INTO kept SELECT i, (i * 0.5, i % 7)::pair, ARRAY[(i * 0.5, i % 7)::pair] FROM generate_series(1, 99) AS i;
CREATE FUNCTION row_of(i int) RETURNS pair LANGUAGE plpgsql AS $$ DECLARE r pair; BEGIN r.x := i * 0.5; r.z := i % 7; RETURN r; END $$;
CREATE FUNCTION point_of(i int) RETURNS points LANGUAGE plpgsql AS $$ DECLARE r points; BEGIN SELECT * INTO r FROM points WHERE x = i * 0.5; RETURN r; END $$;
-- Every way to a row gives what the columns give; with and without batches.
CREATE FUNCTION same() RETURNS TABLE (way text, rows bigint, same bool) LANGUAGE plpgsql AS $f$
DECLARE
    ways text[] := ARRAY[
        'table row', 'SELECT count(*), bool_and(neural.predict(''plane'', p) = neural.predict(''plane'', x, z)) FROM points p',
        'function', 'SELECT count(*), bool_and(plane(p.x, p.z) = neural.predict(''plane'', p)) FROM points p',
        'subquery', 'SELECT count(*), bool_and(neural.predict(''plane'', s) = neural.predict(''plane'', s.x, s.z)) FROM (SELECT z, x FROM points) s',
        'record', 'SELECT count(*), bool_and(neural.predict(''plane'', r) = neural.predict(''plane'', r.x, r.z)) FROM (SELECT x, z FROM points OFFSET 0) r',
        'stored row', 'SELECT count(*), bool_and(neural.predict(''plane'', p) = neural.predict(''plane'', (p).x, (p).z)) FROM kept',
        'element', 'SELECT count(*), bool_and(neural.predict(''plane'', several[1]) = neural.predict(''plane'', id * 0.5, id % 7)) FROM kept',
        'variable', 'SELECT count(*), bool_and(neural.predict(''plane'', row_of(i)) = neural.predict(''plane'', i * 0.5, i % 7)) FROM generate_series(1, 99) i',
        'variable of a table', 'SELECT count(*), bool_and(neural.predict(''plane'', point_of(i)) = neural.predict(''plane'', i * 0.5, i % 7)) FROM generate_series(1, 99) i',
        'cast', 'SELECT count(*), bool_and(neural.predict(''plane'', (i * 0.5, i % 7)::pair) = neural.predict(''plane'', i * 0.5, i % 7)) FROM generate_series(1, 99) i',
        'text', 'SELECT count(*), bool_and(neural.predict(''plane'', format(''(%s,%s)'', i * 0.5, i % 7)::pair) = neural.predict(''plane'', i * 0.5, i % 7)) FROM generate_series(1, 99) i',
        'json', 'SELECT count(*), bool_and(neural.predict(''plane'', json_populate_record(NULL::pair, json_build_object(''x'', i * 0.5, ''z'', i % 7))) = neural.predict(''plane'', i * 0.5, i % 7)) FROM generate_series(1, 99) i',
        'join', 'SELECT count(*), bool_and(neural.predict(''plane'', k.p) = neural.predict(''plane'', p)) FROM points p JOIN kept k ON (k.p).x = p.x'];
BEGIN
    FOR i IN 1 .. array_length(ways, 1) / 2 LOOP
        way := ways[2 * i - 1];
        BEGIN
            EXECUTE ways[2 * i] INTO rows, same;
        EXCEPTION WHEN OTHERS THEN
            way := way || ': ' || SQLSTATE || ' ' || SQLERRM;
            rows := NULL;
            same := NULL;
        END;
        RETURN NEXT;
    END LOOP;
END $f$;
SELECT * FROM same();
SET neural.batch_scoring = off;
SELECT * FROM same() AS s WHERE NOT s.same OR s.same IS NULL;
SET neural.batch_scoring = on;
-- The types change while the session has plans for their rows.
ALTER TYPE pair ADD ATTRIBUTE more text;
ALTER TABLE points ADD COLUMN more text DEFAULT 'm';
SELECT * FROM same() AS s WHERE s.same IS DISTINCT FROM true;
ALTER TYPE pair DROP ATTRIBUTE more, ADD ATTRIBUTE more int;
ALTER TABLE points DROP COLUMN more, ADD COLUMN more int;
SELECT * FROM same() AS s WHERE s.same IS DISTINCT FROM true;
-- A row that was made before the change is called with after it.
CREATE FUNCTION across() RETURNS bool LANGUAGE plpgsql AS $$
DECLARE r pair; before float8; after float8;
BEGIN
    r := row_of(3);
    before := neural.predict('plane', r);
    ALTER TYPE pair ADD ATTRIBUTE third int;
    after := neural.predict('plane', r);
    RETURN before = after;
END $$;
SELECT across();
-- Steps of a sequence are rows, too.
CREATE TABLE steps AS SELECT i / 5 AS part, i % 5 AS at, i * 0.5 AS v, (i / 5) % 2 = 0 AS y FROM generate_series(0, 199) AS i;
SELECT version FROM neural.train('course', 'steps', 'y', architecture => '{"layers": [{"type": "gru", "units": 4}]}', epochs => 1, seed => 1,
    options => '{"verbose": false, "sequence_by": "part", "order_by": "at"}');
CREATE TABLE before AS SELECT part, neural.predict('course', array_agg(s ORDER BY at)) AS p FROM steps s GROUP BY part;
ALTER TABLE steps ADD COLUMN more text DEFAULT 'm';
SELECT count(*), bool_and(b.p = n.p) AS same
FROM before b JOIN (SELECT part, neural.predict('course', array_agg(s ORDER BY at)) AS p FROM steps s GROUP BY part) n USING (part);
SELECT count(neural.drop_model(name)) FROM neural.models WHERE name IN ('plane', 'course');
DROP FUNCTION plane, same, across, row_of, point_of;
DROP TABLE points, kept, steps, before;
DROP TYPE pair;
