-- Dates, timestamps and timestamps with a time zone are never taken for one another: whatever way a call gives them,
-- in judging and in scoring a table. A pinned function reads no literal of them that has no type.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA time_types;
SET search_path = time_types;
SET TimeZone = 'America/New_York';

CREATE TABLE events AS
SELECT i AS id, timestamptz '2024-01-01 00:00+00' + i * interval '7 hours' AS moment, timestamp '2024-01-01' + i * interval '7 hours' AS local,
       date '2024-01-01' + i AS day, i % 40 > 20 AS bad
FROM generate_series(0, 200) AS i;
CREATE DOMAIN instant AS timestamptz;
CREATE DOMAIN booked_on AS date;
SELECT m.name, t.version FROM (VALUES
    ('moment', 'SELECT moment AS at, bad FROM events', NULL), ('local', 'SELECT local AS at, bad FROM events', NULL),
    ('day', 'SELECT day AS at, bad FROM events', NULL), ('instant', 'SELECT moment::instant AS at, bad FROM events', NULL),
    ('moments', 'SELECT date_trunc(''month'', moment, ''UTC'') AS at, bad FROM events', '{"at": "categorical"}'),
    ('locals', 'SELECT date_trunc(''month'', local) AS at, bad FROM events', '{"at": "categorical"}'),
    ('days', 'SELECT date_trunc(''month'', local)::date AS at, bad FROM events', '{"at": "categorical"}')) AS m (name, query, features),
    LATERAL neural.train(m.name, m.query, 'bad', epochs => 1, seed => 1, features => m.features::jsonb, options => '{"verbose": false}') AS t;

CREATE FUNCTION state(statement text) RETURNS text LANGUAGE plpgsql AS $f$
BEGIN
    EXECUTE statement;
    RETURN '';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $f$;
CREATE VIEW given AS SELECT type, value FROM (VALUES
    (1, 'moment', 'timestamptz ''2024-03-01 00:00-05'''), (2, 'local', 'timestamp ''2024-03-01 00:00'''), (3, 'day', 'date ''2024-03-01'''),
    (4, 'instant', '''2024-03-01 00:00-05''::instant'), (5, 'booked_on', '''2024-03-01''::booked_on'), (6, 'literal', '''2024-03-01'''),
    (7, 'text', 'text ''2024-03-01'''), (8, 'number', '1'), (9, 'NULL', 'NULL'), (10, 'NULL moment', 'NULL::timestamptz')) AS v (n, type, value) ORDER BY n;
-- By position, as a row, VARIADIC, by the hash: an error, or not.
CREATE FUNCTION tried(call text) RETURNS TABLE (type text, moment text, local text, day text, instant text, moments text, locals text, days text) LANGUAGE sql AS $f$
    SELECT type, state(format(call, 'moment', value)), state(format(call, 'local', value)), state(format(call, 'day', value)), state(format(call, 'instant', value)),
           state(format(call, 'moments', value)), state(format(call, 'locals', value)), state(format(call, 'days', value))
    FROM given $f$;
SELECT * FROM tried('SELECT neural.predict(%L, %s)');
SELECT * FROM tried('SELECT neural.predict_class(%L, r) FROM (SELECT %s AS at, id FROM events LIMIT 3) AS r') WHERE type IN ('moment', 'local', 'day', 'instant');
SELECT * FROM tried('SELECT neural.predict_proba(%L, VARIADIC ARRAY[%s])') WHERE type IN ('moment', 'local', 'day');
SELECT * FROM tried('SELECT neural.predict_pinned((SELECT sha256 FROM neural.model_versions WHERE model = %L), %s)');
SELECT * FROM tried('SELECT count(*) FROM neural.evaluate(%L, $$SELECT %s AS at, bad FROM events$$)') WHERE type IN ('moment', 'local', 'day', 'instant');
SET neural.batch_scoring = off;
SELECT * FROM tried('SELECT neural.predict(%L, r) FROM (SELECT %s AS at, id FROM events LIMIT 3) AS r') WHERE type IN ('moment', 'local', 'day', 'instant');
RESET neural.batch_scoring;

-- What it says.
\set VERBOSITY terse
SELECT neural.predict('local', moment) FROM events;
SELECT neural.predict('moment', day) FROM events;
SELECT neural.predict_pinned(sha256, '2024-03-01') FROM neural.model_versions WHERE model = 'day';
\set VERBOSITY default
DO $$
BEGIN
    PERFORM neural.predict('local', moment) FROM events;
EXCEPTION WHEN datatype_mismatch THEN
    DECLARE
        hint text;
    BEGIN
        GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
        RAISE WARNING '%', hint;
    END;
END $$;

-- Literals are read as the feature's type, a moment's in the session's zone; in created functions PostgreSQL casts what it
-- casts by itself, in the session's zone, too, and nothing else.
SELECT neural.predict('moment', '2024-03-01 00:00') = neural.predict('moment', timestamptz '2024-03-01 00:00-05') AS in_the_zone,
       neural.predict('local', '2024-03-01 00:00') = neural.predict('local', timestamp '2024-03-01 00:00') AS without,
       neural.predict('day', '2024-03-01') = neural.predict('day', date '2024-03-01') AS of_a_day,
       neural.predict('days', '2024-03-01') = neural.predict('days', date '2024-03-01') AS of_a_level,
       neural.predict('instant', '2024-03-01 00:00') = neural.predict('moment', timestamptz '2024-03-01 00:00-05') AS of_a_domain;
SELECT neural.create_function('f_moment', 'moment'), neural.create_function('f_local', 'local'), neural.create_function('f_day', 'day', version => 1),
       neural.create_function('f_instant', 'instant');
SELECT bool_and(f_moment(moment) = neural.predict('moment', moment) AND f_moment(local) = neural.predict('moment', local::timestamptz)
                AND f_moment(day) = neural.predict('moment', day::timestamptz) AND f_local(local) = neural.predict('local', local)
                AND f_local(day) = neural.predict('local', day::timestamp) AND f_day(day) = neural.predict('day', day)
                AND f_instant(local) = neural.predict('instant', local::timestamptz)) AS as_postgresql_casts
FROM events;
SELECT state('SELECT f_local(moment) FROM events') AS moment_for_local, state('SELECT f_day(local) FROM events') AS local_for_day,
       state('SELECT f_day(''2024-01-02'')') AS literal;
-- A value with its zone does not depend on the session's.
SELECT sum(neural.predict('moment', moment)) AS here FROM events \gset
SET TimeZone = 'Asia/Tokyo';
SELECT sum(neural.predict('moment', moment)) = :here AS as_there, sum(neural.predict('moment', r)) = :here AS as_rows FROM (SELECT moment, moment AS at FROM events) AS r;
SET TimeZone = 'America/New_York';

-- Scoring a table, whose column has another type, writes nothing.
ALTER TABLE events ADD COLUMN at timestamp, ADD COLUMN score float8;
UPDATE events SET at = local;
\set VERBOSITY sqlstate
CALL neural.score_table('moment', 'events', 'score');
CALL neural.score_table('day', 'events', 'score');
\set VERBOSITY default
SELECT count(score) FROM events;
CALL neural.score_table('local', 'events', 'score');
SELECT count(score), bool_and(score = neural.predict('local', at)) AS right FROM events;

-- Steps: rows by the names of their columns, arrays of steps.
CREATE TABLE steps AS
SELECT g AS id, n, timestamptz '2024-01-01 00:00+00' + (g * n) * interval '1 hour' AS at, g % 2 = 0 AS even
FROM generate_series(1, 40) AS g, generate_series(1, 4) AS n;
SELECT version FROM neural.train('steps', 'steps', 'even', epochs => 1, seed => 1, architecture => '{"layers": [{"type": "gru", "units": 3}]}',
    options => '{"verbose": false, "sequence_by": "id", "order_by": "n"}');
SELECT state('SELECT neural.predict(''steps'', array_agg(s ORDER BY n)) FROM steps AS s GROUP BY id') AS rows,
       state('SELECT neural.predict(''steps'', array_agg(s ORDER BY n)) FROM (SELECT id, n, at::timestamp AS at FROM steps) AS s GROUP BY id') AS rows_of_locals,
       state('SELECT neural.predict(''steps'', array_agg(at ORDER BY n)) FROM steps GROUP BY id') AS moments,
       state('SELECT neural.predict(''steps'', array_agg(at::timestamp ORDER BY n)) FROM steps GROUP BY id') AS locals,
       state('SELECT neural.predict(''steps'', array_agg(at::date ORDER BY n)) FROM steps GROUP BY id') AS days,
       state('SELECT neural.evaluate(''steps'', ''SELECT id, n, at::timestamp AS at, even FROM steps'')') AS evaluate;

-- No number is judged by days.
SELECT version FROM neural.train('number', 'SELECT local AS at, id FROM events', 'id', epochs => 1, seed => 1, options => '{"verbose": false}');
SELECT state('SELECT neural.evaluate(''number'', ''SELECT local AS at, id FROM events'')') AS numbers,
       state('SELECT neural.evaluate(''number'', ''SELECT local AS at, day AS id FROM events'')') AS days;
RESET TimeZone;
RESET search_path;
DROP SCHEMA time_types CASCADE;
SELECT count(neural.drop_model(name)) FROM neural.models;
