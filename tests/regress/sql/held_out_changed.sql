-- Rows that are held out although many are alike, and rows that are known again although something of
-- them has changed.
SET client_min_messages = warning;

-- A value that most rows have is on both sides as any other is: the share held out stays.
CREATE TABLE mass AS SELECT CASE WHEN i % 5 < 3 THEN 0 ELSE sin(i) END AS x, CASE WHEN i % 5 < 3 THEN 0.5 ELSE cos(i) END AS w,
    CASE WHEN i % 5 < 3 THEN 100 ELSE sin(i) * 3 END AS y FROM generate_series(1, 5000) AS i;
SELECT neural.train('mass' || seed, 'mass', 'y', epochs => 1, seed => seed, architecture => 'mlp_64_64', options => '{"verbose": false}') IS NOT NULL AS trained
FROM generate_series(1, 6) AS seed;
SELECT count(*) AS trainings, bool_and(rows_validated BETWEEN 600 AND 900) AS share_kept FROM neural.model_versions WHERE model LIKE 'mass%';
-- Positives that are all alike are judged as well.
CREATE TABLE valid AS SELECT CASE WHEN i % 3 = 0 THEN 'infinity'::date ELSE date '2024-01-01' + (i % 300) END AS valid_to,
    i % 3 = 0 AS open FROM generate_series(1, 900) AS i;
SELECT (metrics ->> 'auc')::float8 > 0.9 AS told_apart FROM neural.train('valid', 'valid', 'open', seed => 1, epochs => 60, options => '{"verbose": false}');
SELECT neural.predict('valid', 'infinity'::date) > neural.predict('valid', '2030-01-01'::date) AS beyond_any_date;
-- Copies stay on one side.
CREATE TABLE copies AS SELECT a, b, y FROM (SELECT i, sin(i * 7.3) AS a, cos(i * 3.1) AS b, hashint4(i) % 2 = 0 AS y FROM generate_series(1, 300) AS i) AS s,
    generate_series(1, 10) AS copy ORDER BY copy, i;
SELECT (metrics ->> 'auc')::float8 < 0.75 AS honest FROM neural.train('copies', 'copies', 'y', seed => 1, epochs => 150, architecture => 'mlp_64_64',
    learning_rate => 0.01, options => '{"verbose": false, "restore_best": false}');

-- A training on noise, gone on from with almost no step: by the rows that were learnt it would look well.
CREATE TABLE noise AS SELECT i, (hashint4(i) % 1000)::numeric(9,2) AS a, (hashint4(i * 3) % 1000)::numeric(9,2) AS b,
    (hashint4(i * 7) % 1000)::numeric(9,2) AS c, (hashint4(i * 11) % 1000)::numeric(9,2) AS y FROM generate_series(1, 400) AS i;
SELECT version FROM neural.train('noise', 'SELECT a, b, c, y FROM noise', 'y', architecture => 'mlp_64_64', epochs => 300, seed => 1,
    learning_rate => 0.01, options => '{"restore_best": false, "weight_decay": 0, "verbose": false}');
CREATE FUNCTION gone_on(query text, OUT validated int, OUT looks_well bool) LANGUAGE plpgsql AS $$
DECLARE made record;
BEGIN
    PERFORM neural.deploy('noise', 1);
    SELECT * INTO made FROM neural.train('noise', query, 'y', epochs => 1, learning_rate => 1e-7, seed => 2,
        options => '{"warm_start": true, "verbose": false}');
    SELECT v.rows_validated INTO validated FROM neural.model_versions AS v WHERE model = 'noise' AND version = made.version;
    looks_well := (made.metrics ->> 'r2')::float8 > 0.3;
END $$;
SELECT * FROM gone_on('SELECT a, b, c, y FROM noise');
SELECT * FROM gone_on('SELECT a, b, c, y + 0.01 AS y FROM noise');
SELECT * FROM gone_on('SELECT a, b, c, y::real AS y FROM noise');
SELECT * FROM gone_on('SELECT a::real AS a, b::real AS b, c::real AS c, y FROM noise');
SELECT * FROM gone_on('SELECT a::float8 AS a, b + 1e-12 AS b, c::real AS c, -y AS y FROM noise');
-- What is told of it.
SET client_min_messages = notice;
SELECT (neural.train('noise', 'SELECT a, b, c, y FROM noise WHERE i < 300 UNION ALL SELECT a + 5000, b, c, y FROM noise WHERE i < 100', 'y', epochs => 1,
    seed => 2, options => '{"warm_start": true}')).version;
SET client_min_messages = warning;
SELECT count(neural.drop_model(name, force => true)) AS models FROM neural.models;
DROP TABLE mass, valid, copies, noise;
DROP FUNCTION gone_on;
