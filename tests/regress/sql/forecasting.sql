-- Forecasting: sequences normalised by themselves, and outputs turned back by them.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
SET client_min_messages = warning;
CREATE SCHEMA forecasting;
SET search_path = forecasting;
\getenv root PG_ABS_SRCDIR
\set file :root '/../data/air_passengers.csv'
CREATE TABLE air_passengers (month date PRIMARY KEY, passengers int);
COPY air_passengers FROM :'file' WITH (FORMAT csv, HEADER);
-- The two years until a month, and the passengers twelve months after it.
CREATE VIEW air_windows AS
SELECT month, history, passengers
FROM (SELECT month, passengers, array_agg(passengers) OVER (ORDER BY month ROWS BETWEEN 35 PRECEDING AND 12 PRECEDING) AS history
      FROM air_passengers) AS w
WHERE cardinality(history) = 24;
CREATE VIEW air_learnt AS SELECT history, passengers FROM air_windows WHERE month < '1959-01-01' ORDER BY month;
CREATE FUNCTION air_rmse(model text) RETURNS float8 LANGUAGE sql AS $$
    SELECT sqrt(avg((neural.predict(model, history) - passengers) ^ 2)) FROM air_windows WHERE month >= '1959-01-01' $$;

-- The last two years, each month a year ahead: against the same month of the year before.
SELECT round(sqrt(avg((history[24] - passengers) ^ 2))::numeric, 1) AS year_before FROM air_windows WHERE month >= '1959-01-01';
SELECT version FROM neural.train('air', 'air_learnt', 'passengers', seed => 1,
    features => '{"history": {"type": "sequence", "normalize": "instance"}}', options => '{"verbose": false}');
SELECT air_rmse('air') < 30 AS reached;
SELECT version FROM neural.train('air_default', 'air_learnt', 'passengers', seed => 1, features => '{"history": "sequence"}', options => '{"verbose": false}');
SELECT air_rmse('air_default') < 50 AS reached;
SELECT f ->> 'name' AS name, f ->> 'treatment' AS treatment, f ->> 'length' AS length, f -> 'fitted' -> 'instance' AS instance
FROM neural.models m, jsonb_array_elements(m.features) f WHERE m.name = 'air';

-- A year at once, each month an output; the sequence of several models of series of other sizes.
CREATE VIEW air_years AS
SELECT month, history, next FROM (
    SELECT month, array_agg(passengers) OVER (ORDER BY month ROWS BETWEEN 23 PRECEDING AND CURRENT ROW) AS history,
           array_agg(passengers) OVER (ORDER BY month ROWS BETWEEN 1 FOLLOWING AND 12 FOLLOWING) AS next
    FROM air_passengers) AS w
WHERE cardinality(history) = 24 AND cardinality(next) = 12;
SELECT version FROM neural.train('air_year', 'SELECT history, next FROM air_years WHERE month < ''1958-01-01'' ORDER BY month', 'next', seed => 1,
    features => '{"history": {"type": "sequence", "normalize": "instance"}}', options => '{"verbose": false}');
SELECT sqrt(avg((p - n) ^ 2)) < 50 AS reached
FROM air_years, unnest(neural.predict_proba('air_year', history), next) AS u(p, n) WHERE month IN ('1958-12-01', '1959-12-01');

-- Row by row and in batches, pinned, from an export, prepared: to the bit; in 8 bits about the same.
SELECT neural.create_function('air_pinned', 'air', version => 1);
SELECT neural.import_model('air_copy', neural.export_model('air')) AS copied;
CREATE TABLE air_scored AS
SELECT month, neural.predict('air', history) AS batch, air_pinned(history) AS pinned, neural.predict('air_copy', history) AS copied FROM air_windows;
SET neural.batch_scoring = off;
SELECT count(*), count(*) FILTER (WHERE s.batch <> neural.predict('air', history)) AS batch, count(*) FILTER (WHERE s.batch <> s.pinned) AS pinned,
       count(*) FILTER (WHERE s.batch <> s.copied) AS copied FROM air_scored s JOIN air_windows USING (month);
RESET neural.batch_scoring;
SELECT count(*) > 0 AS evaluated FROM neural.quantize('air', 'SELECT history, passengers FROM air_windows WHERE month < ''1959-01-01''', '{"deploy": false}');
SELECT air_rmse('air@2') < 30 AS reached, abs(air_rmse('air@2') - air_rmse('air@1')) < 5 AS is_near;
SELECT * FROM neural.check() WHERE model LIKE 'air%';
-- The bits of no number of threads.
SELECT version FROM neural.train('air_threads', 'air_learnt', 'passengers', seed => 1,
    features => '{"history": {"type": "sequence", "normalize": "instance"}}', options => '{"verbose": false, "threads": 1}');
SELECT count(*) FILTER (WHERE neural.predict('air_threads', history) <> batch) AS other FROM air_windows JOIN air_scored USING (month);
-- A series of another size, and one that stands still.
SELECT abs(neural.predict('air', (SELECT array_agg(1000 * h ORDER BY n) FROM unnest(history) WITH ORDINALITY AS u(h, n))) / 1000
           - neural.predict('air', history)) < 0.01 * passengers AS follows FROM air_windows WHERE month = '1960-12-01';
SELECT round(neural.predict('air', array_fill(7, ARRAY[24]))::numeric, 2) AS still;
-- A warm start goes on with what there is.
SELECT version FROM neural.train('air', 'SELECT history, passengers FROM air_windows', 'passengers', epochs => 2, seed => 1,
    options => '{"warm_start": true, "verbose": false}');
SELECT features -> 0 -> 'fitted' -> 'instance' AS instance, air_rmse('air') < 50 AS reached FROM neural.models WHERE name = 'air';

-- What is refused.
CREATE FUNCTION refused(statement text) RETURNS TABLE (code text, message text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN QUERY SELECT 'none'::text, NULL::text, NULL::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN NEXT;
END $$;
CREATE FUNCTION with_features(features text, columns text DEFAULT 'history, passengers', target text DEFAULT 'passengers', options text DEFAULT '{}')
    RETURNS TABLE (code text, message text, hint text) LANGUAGE sql AS $$
    SELECT * FROM refused(format('SELECT neural.train(''x'', ''SELECT %s FROM air_windows'', %L, features => %L, options => %L)',
        columns, target, features, options)) $$;
SELECT * FROM with_features('{"history": {"type": "sequence", "normalize": "batch"}}');
SELECT * FROM with_features('{"history": {"type": "sequence", "normalize": true}}');
SELECT * FROM with_features('{"history": {"type": "sequence", "denormalize": true}}');
SELECT * FROM with_features('{"history": {"type": "sequence", "normalize": "instance", "denormalize": 2}}');
SELECT * FROM with_features('{"history": {"type": "sequence", "normalize": "instance", "denormalize": "yes"}}');
SELECT * FROM with_features('{"history": {"type": "sequence", "normalize": "instance"}, "other": {"type": "sequence", "normalize": "instance"}}',
    'history, history AS other, passengers');
SELECT * FROM with_features('{"history": {"type": "sequence", "normalize": "instance", "denormalize": true}}',
    'history, passengers > 200 AS many', 'many');
SELECT * FROM with_features('{"history": {"type": "sequence", "normalize": "instance"}}', options => '{"target_scale": "robust"}');
SELECT * FROM with_features('{"pairs": {"type": "sequence", "normalize": "instance"}}', 'ARRAY[[passengers, 1], [2, passengers]] AS pairs, passengers');
SELECT * FROM refused($$SELECT neural.predict('air', ARRAY[1, NULL])$$);
SELECT * FROM refused($$SELECT neural.predict('air', '{}'::int[])$$);

-- Its models' names are free for other tests.
RESET search_path;
DROP SCHEMA forecasting CASCADE;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
