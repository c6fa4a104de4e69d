-- How the files of this folder were made: by version 0.1.0, commit f43f847, PostgreSQL 15, on AVX-512.
-- Each model was exported to NAME.safetensors, the first rows of each table by COPY to TABLE.txt, and
-- answers.txt is what the queries of tests/regress/sql/stored_versions.sql gave.
SET client_min_messages = error;
CREATE EXTENSION pg_neural;
CREATE TABLE people AS
SELECT i AS id, 20 + (i * 7919 % 50) AS age, round((1500 + 4000 * abs(sin(i)))::numeric, 2) AS income,
       (ARRAY['car', 'furniture', 'holiday', 'school', NULL])[1 + i % 5] AS purpose,
       CASE WHEN i % 11 = 0 THEN NULL ELSE cos(i * 3)::float8 END AS balance,
       i % 3 = 0 AS owner, date '2020-01-01' + i % 700 AS opened,
       timestamptz '2024-01-01 00:00+00' + i * interval '5 hours' AS seen,
       ARRAY[sin(i), cos(i), (i % 17)::float8] AS shape,
       (ARRAY['low', 'middle', 'high'])[1 + i % 3] AS grade,
       sin(i) + cos(i * 3) > 0 AS bad, 1000 * sin(i) + i % 50 AS amount
FROM generate_series(1, 400) AS i;
CREATE TABLE pictures AS
SELECT i AS id, (SELECT array_agg(ARRAY[abs(sin(i + y)), abs(sin(i + y + 1)), abs(sin(i * y)), 0.5, 0.25, abs(cos(i)), 1, 0]) FROM generate_series(1, 8) AS y) AS image,
       i % 2 = 0 AS even FROM generate_series(1, 60) AS i;
CREATE TABLE visits AS
SELECT i / 6 AS customer, i % 6 AS at, sin(i) AS spent, (ARRAY['web', 'shop'])[1 + i % 2] AS channel, (i / 6) % 2 = 0 AS churned
FROM generate_series(0, 599) AS i;
CREATE TABLE series AS
SELECT i AS id, (SELECT array_agg(sin(i + t / 3.0) ORDER BY t) FROM generate_series(1, 10) AS t) AS past, sin(i + 11 / 3.0) AS next FROM generate_series(1, 80) AS i;
SELECT version FROM neural.train('default_classes', 'SELECT age, income, purpose, balance, owner, opened, seen, bad FROM people', 'bad', epochs => 4, seed => 1);
SELECT version FROM neural.train('default_number', 'SELECT age, income, purpose, balance, amount FROM people', 'amount', epochs => 4, seed => 2, options => '{"members": 2}');
SELECT version FROM neural.train('three_classes', 'SELECT age, income, balance, shape, grade FROM people', 'grade', epochs => 3, seed => 3, architecture => 'mlp_10_10');
SELECT version FROM neural.train('treatments', 'SELECT age, income, purpose, balance, grade, owner FROM people', 'owner', epochs => 3, seed => 4, architecture => 'linear',
  features => '{"age": {"type": "numeric", "scale": "minmax"}, "income": {"type": "numeric", "scale": "none"}, "balance": {"type": "numeric", "scale": "robust", "missing": "median"}, "purpose": {"type": "categorical", "encoding": "embedding", "units": 3}}');
SELECT version FROM neural.train('labels', 'SELECT age, balance, ARRAY[bad, owner] AS marks FROM people', 'marks', epochs => 3, seed => 5, options => '{"members": 2}');
SELECT version FROM neural.train('outputs', 'SELECT age, balance, ARRAY[amount, income] AS both FROM people', 'both', epochs => 3, seed => 6, options => '{"members": 2}');
SELECT version FROM neural.train('quantiles', 'SELECT age, balance, amount FROM people', 'amount', epochs => 3, seed => 7, options => '{"loss": "quantile", "quantiles": [0.1, 0.5, 0.9], "members": 2}');
SELECT version FROM neural.train('images', 'SELECT image, even FROM pictures', 'even', epochs => 2, seed => 8, architecture => '{"layers":[{"type":"conv2d","filters":3,"kernel_size":3,"padding":"same","activation":"relu"},{"type":"batch_norm"},{"type":"max_pool2d","pool_size":2},{"type":"flatten"},{"type":"output"}]}');
SELECT version FROM neural.train('forecast', 'SELECT past, next FROM series', 'next', epochs => 3, seed => 9, architecture => '{"layers":[{"type":"lstm","units":5},{"type":"output"}]}');
SELECT version FROM neural.train('attention', 'SELECT past, next FROM series', 'next', epochs => 2, seed => 10, architecture => '{"layers":[{"type":"dense","units":8},{"type":"positional_encoding"},{"type":"transformer_encoder","num_heads":2,"feed_forward":16},{"type":"global_avg_pool"},{"type":"output"}]}');
SELECT version FROM neural.train('churn', 'SELECT customer, at, spent, channel, churned FROM visits', 'churned', epochs => 3, seed => 11, options => '{"members": 1, "sequence_by": "customer", "order_by": "at"}');
