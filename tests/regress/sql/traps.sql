-- Traps that a training tells of: features that know the target, copies on both sides, rows that are alike with those near them.
SET client_min_messages = notice;
CREATE SCHEMA traps;
SET search_path = traps;
-- From −1 to 1.
CREATE FUNCTION noise(i int, salt int) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT hashint4extended(i, salt) / 9223372036854775808.0 $$;
CREATE TABLE loans AS
SELECT i AS id, noise(i, 1) AS income, noise(i, 2) AS amount, 'c' || i / 2 AS customer, noise(i, 1) - noise(i, 2) + noise(i, 3) > 0.7 AS defaulted,
       noise(i, 1) + 2 * noise(i, 2) + noise(i, 3) AS cost
FROM generate_series(1, 1200) AS i;
CREATE FUNCTION train(query text, target text, options jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT 'version ' || version FROM neural.train('traps ' || md5(query || options), query, target, epochs => 1, seed => 1, learning_rate => 1e-12,
        architecture => '{"layers": [{"type": "output", "kernel_initializer": "zeros"}]}', options => options)
$$;

-- Of honest rows nothing is said.
SELECT train('SELECT income, amount, customer, defaulted FROM loans ORDER BY id', 'defaulted');
SELECT train('SELECT income, amount, cost FROM loans ORDER BY id', 'cost');

-- What is known only afterwards: a number, whether there is one, a word.
SELECT train('SELECT income, amount, CASE WHEN defaulted THEN abs(amount) END AS recovered, defaulted FROM loans ORDER BY id', 'defaulted');
SELECT train('SELECT income, CASE WHEN defaulted THEN ''lost'' ELSE ''it''''s paid'' END AS "its ""status""", defaulted FROM loans ORDER BY id', 'defaulted');
SELECT train('SELECT income, defaulted::int AS flag, defaulted::int * 3 + income / 9 AS fee, defaulted FROM loans ORDER BY id', 'defaulted');
SELECT train('SELECT income, amount, round(exp(cost)::numeric, 3) AS billed, cost FROM loans ORDER BY id', 'cost');

-- Copies among the last rows; copies by few values are none.
SELECT train('SELECT income, amount, defaulted FROM (SELECT * FROM loans UNION ALL SELECT * FROM loans WHERE id % 4 = 0) AS l', 'defaulted',
    '{"validation_split": "last"}');
SELECT train('SELECT (income * 6)::int AS income, (amount * 6)::int AS amount, defaulted FROM loans ORDER BY id', 'defaulted', '{"validation_split": "last"}');

-- Days that have something of their own, and those that have not.
CREATE TABLE flights AS
SELECT i AS id, date '2026-01-01' + d.day AS day, timestamptz '2026-01-01 00:00+00' + d.day * interval '1 day' + (i % 86400) * interval '1 second' AS at,
       noise(i, 4) AS distance, noise(i, 4) + 2 * noise(d.day, 5) + noise(i, 6) > 1 AS late, noise(i, 4) + sin(d.day / 20.0) + noise(i, 6) > 1 AS seasonal
FROM generate_series(1, 3000) AS i, LATERAL (SELECT abs(hashint4(i)) % 100 AS day) AS d;
SELECT train('SELECT day, distance, late FROM flights ORDER BY id', 'late');
SELECT train('SELECT at, distance, late FROM flights ORDER BY id', 'late');
SELECT train('SELECT day, distance, seasonal FROM flights ORDER BY id', 'seasonal');
-- Who holds out by days knows.
SELECT train('SELECT day, distance, late FROM flights ORDER BY id', 'late', '{"validation_group": "day"}');
SELECT train('SELECT day, distance, late FROM flights ORDER BY day', 'late', '{"validation_split": "last"}');

-- Rows of a customer beside each other, and the same rows in any order.
CREATE TABLE bookings AS
SELECT i AS id, noise(i / 4, 7) + noise(i, 8) / 50 AS balance, noise(i / 4, 9) + noise(i, 10) / 50 AS turnover, noise(i / 4, 11) + noise(i, 12) / 5 AS outcome
FROM generate_series(1, 3000) AS i;
SELECT train('SELECT balance, turnover, outcome FROM bookings ORDER BY id', 'outcome');
SELECT train('SELECT balance, turnover, outcome FROM bookings ORDER BY md5(id::text)', 'outcome');

-- Who wants no notices gets none, and the version keeps what was found all the same.
SELECT train('SELECT balance, turnover, outcome FROM bookings ORDER BY id', 'outcome', '{"verbose": false}');
SELECT count(*) FROM neural.models WHERE name LIKE 'traps %' AND strpos(encode(neural.export_model(name), 'escape'), 'held_out_by_blocks') > 0;

-- The version is the same on any number of threads.
SELECT train('SELECT day, distance, late FROM flights ORDER BY id', 'late', '{"threads": 1}');
SELECT train('SELECT day, distance, late FROM flights ORDER BY id', 'late', '{"threads": 2}');
SELECT count(DISTINCT sha256) FROM neural.model_versions
WHERE model IN (SELECT 'traps ' || md5('SELECT day, distance, late FROM flights ORDER BY id' || o) FROM unnest(ARRAY['{"threads": 1}', '{"threads": 2}']) AS o);

-- Whoever may read the rows is told, and nobody else.
CREATE ROLE regress_traps;
GRANT USAGE ON SCHEMA traps TO regress_traps;
GRANT EXECUTE ON FUNCTION neural.train TO regress_traps;
SET ROLE regress_traps;
\set VERBOSITY terse
SELECT version FROM neural.train('traps of another', 'SELECT day, distance, late FROM traps.flights', 'late', epochs => 1, seed => 1);
RESET ROLE;
GRANT SELECT ON flights TO regress_traps;
SET ROLE regress_traps;
SELECT version FROM neural.train('traps of another', 'SELECT day, distance, late FROM traps.flights ORDER BY id', 'late', epochs => 1, seed => 1, learning_rate => 1e-12,
    architecture => '{"layers": [{"type": "output", "kernel_initializer": "zeros"}]}');
SELECT neural.drop_model('traps of another');
RESET ROLE;
REVOKE ALL ON SCHEMA traps FROM regress_traps;
REVOKE ALL ON flights FROM regress_traps;
REVOKE ALL ON FUNCTION neural.train FROM regress_traps;
DROP ROLE regress_traps;
SELECT count(neural.drop_model(name)) FROM neural.models WHERE name LIKE 'traps %';
SET client_min_messages = warning;
DROP SCHEMA traps CASCADE;
