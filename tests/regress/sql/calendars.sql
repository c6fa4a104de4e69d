-- Dates and timestamps: the day of the week, the month and the hour, in UTC whatever the session says.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
SET client_min_messages = warning;
CREATE SCHEMA calendars;
SET search_path = calendars;
CREATE TABLE arrivals AS
SELECT i, at, (at AT TIME ZONE 'UTC')::date AS day, at AT TIME ZONE 'UTC' AS plain,
       CASE WHEN extract(isodow FROM at AT TIME ZONE 'UTC') >= 6 THEN 3 ELSE 0 END
       + extract(hour FROM at AT TIME ZONE 'UTC')::float8 / 6 + i / 3000.0 AS y
FROM generate_series(1, 3000) AS i, LATERAL (SELECT '2022-01-03 00:00+00'::timestamptz + i * 677 % 3000 * interval '7 hours' AS at) AS moment;

SELECT version FROM neural.train('told', 'SELECT at, y FROM arrivals ORDER BY i', 'y', epochs => 12, seed => 1, options => '{"verbose": false}');
SELECT features -> 0 ->> 'treatment' AS treatment, features -> 0 -> 'fitted' -> 'cycles' AS calendar FROM neural.models WHERE name = 'told';
SELECT (metrics ->> 'r2')::float8 > 0.9 AS r2 FROM neural.model_versions WHERE model = 'told';

-- Neither the time zone nor the language of a session decides anything, in training and in calls.
SET TimeZone = 'Pacific/Kiritimati';
SET lc_time = 'C';
SELECT version FROM neural.train('elsewhere', 'SELECT at, y FROM arrivals ORDER BY i', 'y', epochs => 12, seed => 1, options => '{"verbose": false}');
CREATE TABLE far AS SELECT i, neural.predict('told', at) AS told, neural.predict('elsewhere', at) AS elsewhere FROM arrivals;
SET TimeZone = 'America/Los_Angeles';
SELECT count(*) FILTER (WHERE neural.predict('told', at) <> told) AS told, count(*) FILTER (WHERE neural.predict('told', at) <> elsewhere) AS elsewhere
FROM arrivals JOIN far USING (i);
SET neural.batch_scoring = off;
SELECT count(*) FILTER (WHERE neural.predict('told', at) <> told) AS row_by_row FROM arrivals JOIN far USING (i);
RESET neural.batch_scoring;
RESET TimeZone;
RESET lc_time;
-- A Saturday and a Monday.
SELECT neural.predict('told', '2023-05-06 12:00+00') - neural.predict('told', '2023-05-08 12:00+00') > 1.5 AS weekend;

-- As asked for: of dates, and of timestamps without a time zone; without.
SELECT version FROM neural.train('asked', 'SELECT day, plain, y FROM arrivals', 'y', epochs => 2, seed => 1, options => '{"verbose": false}',
    features => '{"day": {"type": "numeric", "calendar": true}, "plain": {"type": "numeric", "calendar": ["day"]}}');
SELECT f ->> 'name' AS name, f ->> 'type' AS type, f -> 'fitted' -> 'cycles' AS calendar
FROM neural.models m, jsonb_array_elements(m.features) f WHERE m.name = 'asked' ORDER BY 1;
SELECT neural.create_function('asked_pinned', 'asked', version => 1);
SELECT neural.import_model('asked_copy', neural.export_model('asked')) AS copied;
SELECT count(*) FILTER (WHERE neural.predict('asked', day, plain) <> asked_pinned(day, plain)) AS pinned,
       count(*) FILTER (WHERE neural.predict('asked', day, plain) <> neural.predict('asked_copy', day, plain)) AS copied FROM arrivals;
SELECT version FROM neural.train('without', 'SELECT at, y FROM arrivals', 'y', epochs => 2, seed => 1, options => '{"verbose": false}',
    features => '{"at": {"type": "numeric", "calendar": false}}');
SELECT features -> 0 -> 'fitted' ? 'cycles' AS calendar FROM neural.models WHERE name = 'without';
-- What is missing, infinite or long ago is a number all the same.
SELECT count(p) AS numbers, count(*) FILTER (WHERE p BETWEEN -1000 AND 1000) AS near FROM (VALUES
    (neural.predict('asked', NULL, NULL)), (neural.predict('asked', 'infinity', '-infinity')), (neural.predict('asked', '-infinity', 'infinity')),
    (neural.predict('asked', '4713-01-01 BC', '4713-01-01 00:00 BC')), (neural.predict('asked', '0001-12-31 BC', '294276-12-31 23:59:59.999999')),
    (neural.predict('asked', '5874897-12-31', '2024-02-29 12:00'))) AS v(p);
SELECT * FROM neural.check() WHERE model IN ('told', 'asked', 'asked_copy');

-- What is refused.
CREATE FUNCTION refused(statement text) RETURNS TABLE (code text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, NULL::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;
CREATE FUNCTION with_features(features text) RETURNS TABLE (code text, message text, hint text) LANGUAGE sql AS $$
    SELECT * FROM refused(format('SELECT neural.train(''x'', ''SELECT i, day, y FROM arrivals'', ''y'', features => %L)', features)) $$;
SELECT * FROM with_features('{"i": {"type": "numeric", "calendar": true}}');
SELECT * FROM with_features('{"day": {"type": "numeric", "calendar": ["day"]}}');
SELECT * FROM with_features('{"day": {"type": "numeric", "calendar": ["weak"]}}');
SELECT * FROM with_features('{"day": {"type": "numeric", "calendar": "week"}}');

-- Its models' names are free for other tests.
RESET search_path;
DROP SCHEMA calendars CASCADE;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
