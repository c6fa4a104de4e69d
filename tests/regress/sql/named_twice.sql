-- Names that are there twice, or that are no feature's; arrays that are NULL; versions that are named.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA named_twice;
SET search_path = named_twice, public;
CREATE TABLE t AS SELECT i AS id, sin(i) AS a, cos(i) AS b, (ARRAY['x', 'y'])[1 + i % 2] AS c, i % 3 = 0 AS y FROM generate_series(1, 60) AS i;
SELECT version FROM neural.train('m', 'SELECT a, b, c, y FROM t', 'y', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT version FROM neural.train('s', 'SELECT id / 5 AS g, id AS o, a, y FROM (SELECT id, a, id / 5 % 2 = 0 AS y FROM t) AS t', 'y', epochs => 1, seed => 1,
    options => '{"sequence_by": "g", "order_by": "o", "verbose": false}');
CREATE TABLE u AS SELECT id, a, 1 AS other FROM t;

-- A row with two columns of one name that the model needs, row by row and in batches.
CREATE FUNCTION said(call text) RETURNS TABLE (batches text, says text) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH batches IN ARRAY ARRAY['on', 'off'] LOOP
        PERFORM set_config('neural.batch_scoring', batches, true);
        BEGIN
            EXECUTE format('SELECT count(%s) || '' of '' || count(*) FROM %s', split_part(call, ' FROM ', 1), substr(call, strpos(call, ' FROM ') + 6)) INTO says;
        EXCEPTION WHEN OTHERS THEN
            says := SQLSTATE || ' ' || SQLERRM;
        END;
        RETURN NEXT;
    END LOOP;
END $$;
SELECT * FROM said($$neural.predict('m', q) FROM (SELECT a, b, c, 3 AS a FROM t) AS q$$);
SELECT * FROM said($$neural.predict_class('m', q) FROM (SELECT a, b, c, 'z' AS c FROM t) AS q$$);
SELECT * FROM said($$neural.predict_proba('m', j) FROM (t AS v JOIN u USING (id)) AS j$$);
SELECT * FROM said($$neural.predict('m', j) FROM (t AS v JOIN (SELECT id, other FROM u) AS w ON v.id = w.id) AS j$$);
SELECT * FROM said($$neural.predict('m', q) FROM (SELECT t.*, 1 AS y, 2 AS other, 3 AS other FROM t) AS q$$);
SELECT neural.predict('m', NULL::t), neural.predict('m', q) FROM (SELECT 1 AS a, 2 AS b, 3 AS a) AS q;
SELECT neural.predict('s', array_agg(q ORDER BY id)) FROM (SELECT id, id AS o, a, a AS a FROM t LIMIT 5) AS q; \echo :SQLSTATE
SELECT neural.predict('s', array_agg(q ORDER BY id)) FROM (SELECT id, id AS o, a, 3 AS o FROM t LIMIT 5) AS q; \echo :SQLSTATE
SELECT neural.predict('s', array_agg(q ORDER BY q.o)) IS NOT NULL AS answered FROM (SELECT id, id AS o, a, 3 AS id FROM t LIMIT 5) AS q;

-- NULL in the place of an array of any type is no row.
SELECT * FROM said($$neural.predict('m', VARIADIC NULL::int[]) FROM t$$);
SELECT * FROM said($$neural.predict('m', VARIADIC CASE WHEN id < 0 THEN ARRAY[1, 2, 3] END) FROM t$$);
SELECT * FROM said($$neural.predict_class('m', VARIADIC CASE WHEN id > 50 THEN ARRAY[1, 2, 3] END) FROM t$$);

-- What features names and is none.
SELECT neural.train('n', 't', 'y', features => '{"y": "categorical"}'); \echo :SQLSTATE
SELECT neural.train('n', 't', 'y', features => '{"id": "numeric"}', options => '{"validation_group": "id"}'); \echo :SQLSTATE
SELECT neural.train('n', 't', 'y', features => '{"id": "numeric"}', options => '{"sequence_by": "c", "order_by": "id"}'); \echo :SQLSTATE
SELECT neural.train('n', 't', 'y', features => '{"z": "numeric"}'); \echo :SQLSTATE

-- Dropping a version that is named.
SELECT version FROM neural.train('m', 'SELECT a, b, c, y FROM t', 'y', epochs => 1, seed => 2, options => '{"verbose": false}');
SELECT version FROM neural.train('m', 'SELECT a, b, c, y FROM t', 'y', epochs => 1, seed => 3, options => '{"verbose": false}');
CREATE VIEW scores AS SELECT neural.predict('m@1', a, b, c) FROM t;
CREATE FUNCTION score(a float8) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN RETURN neural.predict('m@1', a, 0, 'x'); END $$;
CREATE VIEW bare AS SELECT neural.predict('m', a, b, c) FROM t;
SELECT neural.drop_model('m', 2);
SELECT neural.drop_model('m', 1);
DROP SCHEMA named_twice CASCADE;
SELECT count(neural.drop_model(name)) FROM neural.models;
