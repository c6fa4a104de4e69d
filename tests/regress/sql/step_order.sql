-- Steps that carry the columns that a model's sequences are ordered by have to come in that order.
-- A fresh catalog, whatever ran before: version numbers are never given twice.
SET client_min_messages = warning;
DROP EXTENSION pg_neural;
CREATE EXTENSION pg_neural;
CREATE SCHEMA step_order;
SET search_path = step_order;

CREATE TABLE months AS
SELECT g AS customer, n AS "Month No", (ARRAY['B', 'a', 'c'])[1 + n / 3] AS season, date '2024-01-01' + 30 * n AS at, 1.5 * n AS amount, sin(g * n) AS x, g % 2 = 0 AS even
FROM generate_series(1, 60) AS g, generate_series(1, 6) AS n;
SELECT m.name, t.version FROM (VALUES
    ('by_int', '"Month No"'), ('by_date', '"at"'), ('by_numeric', '"amount"'), ('by_text', '["season", "Month No"]')) AS m (name, columns),
    LATERAL neural.train(m.name, 'SELECT customer, "Month No", season, at, amount, x, even FROM months', 'even', epochs => 1, seed => 1,
        features => '{"at": "ignore", "amount": "ignore", "season": "ignore", "Month No": "ignore"}'::jsonb - trim(m.columns, '"') - CASE m.name WHEN 'by_text' THEN ARRAY['season', 'Month No'] ELSE '{}' END,
        architecture => '{"layers": [{"type": "gru", "units": 3}]}',
        options => format('{"verbose": false, "sequence_by": "customer", "sequence_length": 4, "order_by": %s}', m.columns)::jsonb) AS t;

CREATE FUNCTION state(statement text) RETURNS text LANGUAGE plpgsql AS $f$
BEGIN
    EXECUTE statement;
    RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ': ' || SQLERRM;
END $f$;
CREATE VIEW tried AS
SELECT name, what, state(format('SELECT neural.predict(%L, array_agg(m %s)) FROM %s AS m GROUP BY customer', name, ordered, rows)) AS result
FROM unnest(ARRAY['by_int', 'by_date', 'by_numeric', 'by_text']) AS name, (VALUES
    (1, 'in order', 'ORDER BY season COLLATE "C", "Month No"', 'months'),
    (2, 'falling', 'ORDER BY season COLLATE "C" DESC, "Month No" DESC', 'months'),
    (3, 'equal', 'ORDER BY at', '(SELECT customer, 1 AS "Month No", ''x'' AS season, date ''2024-01-01'' AS at, 1.50 AS amount, x FROM months) '),
    (4, 'equal numbers that look different', 'ORDER BY at', '(SELECT customer, 1 AS "Month No", ''x'' AS season, date ''2024-01-01'' AS at, CASE WHEN at > ''2024-03-01'' THEN 1.5 ELSE 1.50 END AS amount, x FROM months)'),
    (5, 'without the columns', 'ORDER BY x', '(SELECT customer, x FROM months)'),
    (6, 'a NULL between', 'ORDER BY season COLLATE "C", at', '(SELECT customer, nullif("Month No", 3) AS "Month No", nullif(season, ''a'') AS season, nullif(at, ''2024-03-31'') AS at, nullif(amount, 4.5) AS amount, x FROM months)'),
    (7, 'the last column alone falls', 'ORDER BY season COLLATE "C", "Month No" DESC', 'months')) AS v (n, what, ordered, rows)
ORDER BY name, n;
\pset format unaligned
SELECT * FROM tried;
SET neural.batch_scoring = off;
SELECT md5(string_agg(tried::text, ',')) = (SELECT md5(string_agg(tried::text, ',')) FROM tried) AS the_same FROM tried;
RESET neural.batch_scoring;
\pset format aligned

-- Steps for which there is no room count: what is not in order may be the newest.
SELECT neural.predict('by_int', array_agg(m ORDER BY "Month No" > 2 DESC, "Month No")) FROM months AS m WHERE customer = 1;
-- Through functions over the model, too; the way out stands in the hint.
SELECT neural.create_function('score', 'by_int'), neural.create_function('score_1', 'by_text', version => 1);
SELECT score(array_agg(m ORDER BY "Month No" DESC)) FROM months AS m WHERE customer = 1;
SELECT score_1(array_agg(m ORDER BY "Month No" DESC)) FROM months AS m WHERE customer = 1;
-- Two windows mixed; a window frame in order.
SELECT neural.predict('by_date', array_agg(m ORDER BY customer, at)) FROM months AS m WHERE customer < 3;
SELECT count(neural.predict('by_date', steps)) FROM (SELECT array_agg(m) OVER (PARTITION BY customer ORDER BY at ROWS 3 PRECEDING) AS steps FROM months AS m) AS s;
-- Steps as plain arrays tell no order.
SELECT neural.predict('by_int', ARRAY[3, 2, 1]::float8[]) IS NOT NULL AS taken;
RESET search_path;
DROP SCHEMA step_order CASCADE;
SELECT count(neural.drop_model(name)) FROM neural.models;
