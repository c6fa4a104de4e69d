-- A column that receives classes keeps each of them apart from the others, and takes no date or time for another.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
\set VERBOSITY default
SET client_min_messages = warning;
CREATE SCHEMA classes_into;
SET search_path = classes_into, public;
CREATE TABLE answers AS SELECT i AS id, sin(i) AS x FROM generate_series(1, 150) AS i;
-- Models of three classes of a type, in the way that sorts them.
CREATE PROCEDURE train_as(model text, type text, VARIADIC classes text[]) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM neural.train(model, format('SELECT sin(i) AS x, (%L::text[])[1 + i %% %s]::%s AS cls FROM generate_series(1, 120) AS i',
                                       classes, cardinality(classes), type), 'cls', task => 'classification', epochs => 1, seed => 1,
                         options => '{"verbose": false}');
END $$;
CREATE TYPE colour AS ENUM ('010', '10', '7');
CREATE DOMAIN code AS varchar(2);
CREATE DOMAIN bits AS bit(3);

-- Dates and times.
CALL train_as('moments', 'timestamptz', '2024-01-01 00:00:00+00', '2024-01-01 23:30:00+00', '2024-06-01 12:00:00+00');
CALL train_as('stamps', 'timestamp', '2024-01-01 00:00:00', '2024-01-01 23:30:00', '2024-06-01 12:00:00.25');
CALL train_as('days', 'date', '2024-01-01', '2024-01-02', '0044-03-15 BC');
CALL train_as('texts', 'text', '2024-01-01', '2024-01-02', '2024-01-03');
\set ECHO none
SELECT format('ALTER TABLE answers DROP COLUMN IF EXISTS y; ALTER TABLE answers ADD y %s;', t), format('CALL neural.score_table(%L, %L, %L);', m, 'answers', 'y'),
       format('SELECT %L AS m, %L AS t, count(*) FILTER (WHERE y::text = neural.predict_class(%L, x)::%s::text) AS same FROM answers WHERE y IS NOT NULL;', m, t, m, t)
FROM unnest(ARRAY['moments', 'stamps', 'days', 'texts']) WITH ORDINALITY AS a (m, i),
     unnest(ARRAY['timestamptz', 'timestamp', 'date', 'time', 'timetz', 'text']) WITH ORDINALITY AS b (t, j) ORDER BY i, j \gexec
\set ECHO all
CREATE DOMAIN day AS date;
ALTER TABLE answers DROP COLUMN y, ADD y day, ADD z timestamp(0);
CALL neural.score_table('days', 'answers', 'y');
CALL neural.score_table('moments', 'answers', 'y'); \echo :SQLSTATE
SELECT count(*) FROM answers WHERE y = neural.predict_class('days', x)::date;
CALL train_as('close', 'timestamp', '2024-01-01 00:00:00.1', '2024-01-01 00:00:00.2', '2024-06-01 12:00:00');
CALL neural.score_table('close', 'answers', 'z'); \echo :SQLSTATE

-- Classes that become one value, that are cut, that the type cannot read.
CALL train_as('codes', 'text', '010', '10', '7');
CALL train_as('words', 'text', 'good', 'bad', 'unknown');
CALL train_as('cases', 'text', 'A', 'a', 'b');
SELECT neural.train('long', $$SELECT sin(i) AS x, repeat('x', 63 + i % 3) AS cls FROM generate_series(1, 120) AS i$$, 'cls', epochs => 1, seed => 1, options => '{"verbose": false}') IS NOT NULL AS trained;
ALTER TABLE answers DROP COLUMN y, DROP COLUMN z, ADD i int, ADD b bigint, ADD iv interval, ADD m money, ADD c "char", ADD n name,
    ADD v varchar(3), ADD p char(3), ADD v2 code, ADD e colour, ADD xy point, ADD bi bit(3), ADD db bits, ADD vb varbit, ADD j jsonb, ADD t text, ADD bo bool, ADD v9 varchar(9);
CALL neural.score_table('codes', 'answers', 'i'); \echo :SQLSTATE
CALL neural.score_table('codes', 'answers', 'b'); \echo :SQLSTATE
CALL neural.score_table('codes', 'answers', 'iv'); \echo :SQLSTATE
CALL neural.score_table('codes', 'answers', 'm'); \echo :SQLSTATE
CALL neural.score_table('codes', 'answers', 'c'); \echo :SQLSTATE
CALL neural.score_table('codes', 'answers', 'n'); \echo :SQLSTATE
CALL neural.score_table('codes', 'answers', 'v'); \echo :SQLSTATE
CALL neural.score_table('codes', 'answers', 'p'); \echo :SQLSTATE
CALL neural.score_table('codes', 'answers', 'v2'); \echo :SQLSTATE
CALL neural.score_table('codes', 'answers', 'e'); \echo :SQLSTATE
CALL neural.score_table('codes', 'answers', 'bi'); \echo :SQLSTATE
CALL neural.score_table('codes', 'answers', 'j'); \echo :SQLSTATE
CALL neural.score_table('words', 'answers', 'c'); \echo :SQLSTATE
CALL neural.score_table('words', 'answers', 'v'); \echo :SQLSTATE
CALL neural.score_table('words', 'answers', 'p'); \echo :SQLSTATE
CALL neural.score_table('words', 'answers', 'v9'); \echo :SQLSTATE
CALL neural.score_table('words', 'answers', 'xy'); \echo :SQLSTATE
CALL neural.score_table('cases', 'answers', 'c'); \echo :SQLSTATE
CALL neural.score_table('long', 'answers', 'n'); \echo :SQLSTATE
SELECT count(*) FILTER (WHERE n = neural.predict_class('codes', x)) AS n, count(*) FILTER (WHERE v = neural.predict_class('codes', x)) AS v,
       count(*) FILTER (WHERE p = neural.predict_class('codes', x)) AS p, count(*) FILTER (WHERE e::text = neural.predict_class('codes', x)) AS e,
       count(*) FILTER (WHERE v9 = neural.predict_class('words', x)) AS v9, count(*) FILTER (WHERE c::text = neural.predict_class('cases', x)) AS c FROM answers;
CALL train_as('truths', 'text', 't', 'yes', 'no');
CALL neural.score_table('truths', 'answers', 'bo'); \echo :SQLSTATE
CALL train_as('digits', 'text', '1010', '1011', '111');
CALL neural.score_table('digits', 'answers', 'db'); \echo :SQLSTATE
CALL neural.score_table('digits', 'answers', 'vb'); \echo :SQLSTATE
-- Numbers with zeros behind the point are whole numbers still.
CALL train_as('numbers', 'numeric(4,2)', '0.00', '1.00', '2.00');
CALL neural.score_table('numbers', 'answers', 'i'); \echo :SQLSTATE
-- Labels.
SELECT neural.train('labels', $$SELECT sin(i) AS x, CASE i % 3 WHEN 0 THEN ARRAY['010'] WHEN 1 THEN ARRAY['10', '010'] ELSE ARRAY['7'] END AS y FROM generate_series(1, 120) AS i$$,
    'y', epochs => 1, seed => 1, options => '{"verbose": false}') IS NOT NULL AS trained;
ALTER TABLE answers ADD ta text[], ADD va varchar(2)[], ADD vt varchar(7), ADD v12 varchar(12), ADD na name[];
CALL neural.score_table('labels', 'answers', 'ta'); \echo :SQLSTATE
CALL neural.score_table('labels', 'answers', 'va'); \echo :SQLSTATE
CALL neural.score_table('labels', 'answers', 'vt'); \echo :SQLSTATE
CALL neural.score_table('labels', 'answers', 'v12'); \echo :SQLSTATE
CALL neural.score_table('labels', 'answers', 'na'); \echo :SQLSTATE
SELECT count(*) FILTER (WHERE ta::text = neural.predict_class('labels', x)) AS ta, count(*) FILTER (WHERE v12 = neural.predict_class('labels', x)) AS v12 FROM answers;
DROP SCHEMA classes_into CASCADE;
